// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "source/memory_source.h"
#include "space/page_cache.h"
#include "space/physical_space.h"

namespace kcoredump {

/// Physical memory for many readers at once: each read takes a space of its own out of a pool, and
/// all share one cache. Any thread may call any method.
class MountMemory {
 public:
  /// `source` must outlive it; a live one is read anew each time.
  MountMemory(const MemorySource& source, size_t cache_bytes)
      : source_(source), cache_(std::make_shared<PageCache>(cache_bytes)) {}

  /// Fills `out` up to the first page that cannot be read, and returns the bytes before it; when
  /// there are none, an error that says why.
  [[nodiscard]] Result<size_t> Read(PhysAddr phys, std::span<std::byte> out);

 private:
  [[nodiscard]] Result<std::unique_ptr<PhysicalSpace>> Take();

  const MemorySource& source_;
  std::shared_ptr<PageCache> cache_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<PhysicalSpace>> idle_;
};

}  // namespace kcoredump
