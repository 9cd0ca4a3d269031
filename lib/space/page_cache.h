// SPDX-License-Identifier: MIT
//
// Unpacked memory kept for the next read, shared by all threads that read one image.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/range.h"
#include "kcoredump/memory.h"

namespace kcoredump {

/// A block of physical memory as it was read, and what of it could not be. Immutable once shared.
struct CachedBlock {
  Range phys;                      ///< whole pages
  std::vector<std::byte> content;  ///< empty: all of it is zero
  std::vector<PageRun> holes;      ///< in address order; their bytes are zero

  [[nodiscard]] size_t memory_bytes() const;
};

using FillBlock = std::function<Result<std::shared_ptr<const CachedBlock>>()>;

/// Least recently used goes first. Any thread may call any method.
class PageCache {
 public:
  explicit PageCache(size_t max_bytes) : shard_bytes_(max_bytes / kShards) {}

  /// The block that begins at `begin`; nullptr: not here.
  [[nodiscard]] std::shared_ptr<const CachedBlock> Find(uint64_t begin);
  void Insert(std::shared_ptr<const CachedBlock> block);
  /// The block of `phys` as it is kept or, where it is not, as `fill` makes it. Threads that want
  /// the same block at the same time wait for the one that fills it.
  [[nodiscard]] Result<std::shared_ptr<const CachedBlock>> Get(const Range& phys,
                                                               const FillBlock& fill);

 private:
  /// Threads that read different memory should not wait for one another.
  static constexpr size_t kShards = 16;
  struct Shard {
    std::mutex mutex;
    std::condition_variable filled;
    std::unordered_set<uint64_t> filling;                  ///< by begin
    std::list<std::shared_ptr<const CachedBlock>> recent;  ///< the latest used first
    std::unordered_map<uint64_t, std::list<std::shared_ptr<const CachedBlock>>::iterator> by_begin;
    size_t bytes = 0;
  };
  [[nodiscard]] Shard& ShardOf(uint64_t begin);
  [[nodiscard]] static std::shared_ptr<const CachedBlock> FindIn(Shard& shard, uint64_t begin);
  void InsertInto(Shard& shard, std::shared_ptr<const CachedBlock> block) const;

  size_t shard_bytes_;
  std::array<Shard, kShards> shards_;
};

}  // namespace kcoredump
