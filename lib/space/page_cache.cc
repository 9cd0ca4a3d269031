// SPDX-License-Identifier: MIT
#include "space/page_cache.h"

#include "base/no_throw.h"

namespace kcoredump {

size_t CachedBlock::memory_bytes() const {
  // Zero blocks cost their bookkeeping: the list's node, the map's node, the block.
  static constexpr size_t kOverheadBytes = 256;
  return kOverheadBytes + content.capacity() + holes.capacity() * sizeof(PageRun);
}

PageCache::Shard& PageCache::ShardOf(uint64_t begin) {
  // Blocks are some multiple of 4 KiB: mix the bits that differ.
  const uint64_t mixed = (begin >> 12) * 0x9e3779b97f4a7c15;
  return shards_[mixed >> 60];
}

std::shared_ptr<const CachedBlock> PageCache::Find(uint64_t begin) {
  Shard& shard = ShardOf(begin);
  const std::lock_guard lock(shard.mutex);
  return FindIn(shard, begin);
}

void PageCache::Insert(std::shared_ptr<const CachedBlock> block) {
  Shard& shard = ShardOf(block->phys.begin);
  const std::lock_guard lock(shard.mutex);
  InsertInto(shard, std::move(block));
}

Result<std::shared_ptr<const CachedBlock>> PageCache::Get(const Range& phys,
                                                          const FillBlock& fill) {
  Shard& shard = ShardOf(phys.begin);
  std::unique_lock lock(shard.mutex);
  for (;;) {
    auto found = FindIn(shard, phys.begin);
    // Where a capture ended, blocks of different lengths begin at the same place.
    if (found != nullptr && found->phys.end >= phys.end) return found;
    if (!shard.filling.contains(phys.begin)) break;
    shard.filled.wait(lock);
  }
  shard.filling.insert(phys.begin);
  lock.unlock();
  auto block = WithoutThrowing(fill);
  lock.lock();
  shard.filling.erase(phys.begin);
  shard.filled.notify_all();
  if (block.ok()) InsertInto(shard, block.value());
  return block;
}

std::shared_ptr<const CachedBlock> PageCache::FindIn(Shard& shard, uint64_t begin) {
  const auto found = shard.by_begin.find(begin);
  if (found == shard.by_begin.end()) return nullptr;
  shard.recent.splice(shard.recent.begin(), shard.recent, found->second);
  return *found->second;
}

void PageCache::InsertInto(Shard& shard, std::shared_ptr<const CachedBlock> block) const {
  const size_t bytes = block->memory_bytes();
  if (bytes > shard_bytes_ || shard.by_begin.contains(block->phys.begin)) return;
  while (shard.bytes + bytes > shard_bytes_) {
    shard.bytes -= shard.recent.back()->memory_bytes();
    shard.by_begin.erase(shard.recent.back()->phys.begin);
    shard.recent.pop_back();
  }
  shard.bytes += bytes;
  shard.recent.push_front(std::move(block));
  shard.by_begin[shard.recent.front()->phys.begin] = shard.recent.begin();
}

}  // namespace kcoredump
