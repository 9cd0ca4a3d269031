// SPDX-License-Identifier: MIT
//
// How far a live capture is from one instant: of a sample of pages, how many hold something else
// at its end than what was captured.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "format/image_writer.h"
#include "kcoredump/capture.h"
#include "source/memory_source.h"

namespace kcoredump {

class SmearSample {
 public:
  /// `pages` pages of RAM by chance, or all of it when there are no more. kUnsupported: the source
  /// is no live kernel.
  [[nodiscard]] static Result<std::shared_ptr<SmearSample>> Take(const MemorySource& source,
                                                                 uint64_t pages);

  /// A batch as it was captured, `seconds` after the start. Any thread may call, for no page twice.
  void Note(PhysAddr phys, std::span<const std::byte> bytes, std::span<const PageContent> pages,
            double seconds);

  /// Reads all pages of the sample again that were captured. For the thread that waited for all who
  /// call Note. `seconds_now` tells the time since the start.
  [[nodiscard]] Result<SmearReport> Compare(const MemorySource& source,
                                            const std::function<double()>& seconds_now,
                                            const std::atomic<bool>* cancel) const;

 private:
  struct Page {
    uint64_t phys = 0;
    uint64_t hash = 0;
    double seconds = 0;
    PageUseName use = PageUseName::kKernel;  ///< when the capture began
    bool captured = false;
  };
  explicit SmearSample(uint64_t page_bytes) : page_bytes_(page_bytes) {}
  [[nodiscard]] Status ChoosePages(const MemorySource& source, uint64_t pages);
  [[nodiscard]] Status AskUses(const MemorySource& source);

  uint64_t page_bytes_;
  std::vector<Page> pages_;  ///< by address
};

/// Wilson's interval of a share, for 95 %: of `all` there are `some`.
[[nodiscard]] SmearShare ShareOf(uint64_t some, uint64_t all);

}  // namespace kcoredump
