// SPDX-License-Identifier: MIT
//
// Physical memory, by way of the cache where there is one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "source/memory_source.h"
#include "source/range_reader.h"
#include "space/memory_view.h"
#include "space/page_cache.h"

namespace kcoredump {

/// For one thread; make another for another, on the same cache.
class PhysicalSpace : public MemoryView {
 public:
  /// `cache` is ignored for a live source, whose memory changes. `source` must outlive the space.
  [[nodiscard]] static Result<std::unique_ptr<PhysicalSpace>> Create(
      const MemorySource& source, std::shared_ptr<PageCache> cache);

  /// A hole is kUnreadable, and says which kind it is.
  [[nodiscard]] Status Read(uint64_t address, std::span<std::byte> out) override;

 private:
  PhysicalSpace(const MemorySource& source, std::unique_ptr<RangeReader> reader,
                std::shared_ptr<PageCache> cache);
  [[nodiscard]] Status ReadUncached(uint64_t address, std::span<std::byte> out);
  [[nodiscard]] Status ReadFromBlock(uint64_t address, std::span<std::byte> out) const;
  [[nodiscard]] Status LoadBlock(uint64_t address);
  [[nodiscard]] Result<std::shared_ptr<const CachedBlock>> Fill(const Range& phys);

  const MemorySource* source_;
  std::unique_ptr<RangeReader> reader_;
  std::shared_ptr<PageCache> cache_;          ///< nullptr: none
  std::shared_ptr<const CachedBlock> block_;  ///< the one last read from
  std::vector<std::byte> filling_;            ///< where the next block is read to
};

/// "the page at physical 0x… is offline …" as an error.
[[nodiscard]] Error HoleError(const PageRun& hole);

}  // namespace kcoredump
