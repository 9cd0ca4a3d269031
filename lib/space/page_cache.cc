// SPDX-License-Identifier: MIT
#include "space/page_cache.h"

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
  const auto found = shard.by_begin.find(begin);
  if (found == shard.by_begin.end()) return nullptr;
  shard.recent.splice(shard.recent.begin(), shard.recent, found->second);
  return *found->second;
}

void PageCache::Insert(std::shared_ptr<const CachedBlock> block) {
  Shard& shard = ShardOf(block->phys.begin);
  const size_t bytes = block->memory_bytes();
  const std::lock_guard lock(shard.mutex);
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
