// SPDX-License-Identifier: MIT
//
// How far a live capture is from one instant: of a sample of pages, how many hold something else
// at its end than what was captured.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "format/image_writer.h"
#include "kcoredump/capture.h"
#include "source/memory_source.h"
#include "source/page_reader.h"

namespace kcoredump {

class SmearSample {
 public:
  using Clock = std::chrono::steady_clock;

  /// `pages` pages of RAM by chance, or all of it when there are no more. kInvalidArgument: the
  /// source is no live kernel.
  [[nodiscard]] static Result<std::shared_ptr<SmearSample>> Take(const MemorySource& source,
                                                                 uint64_t pages);

  /// A batch as it was captured, at `read`. Any thread may call, for no page twice.
  void Note(PhysAddr phys, std::span<const std::byte> bytes, std::span<const PageContent> pages,
            Clock::time_point read);

  /// Reads all pages of the sample again that were captured. After the last Note; `watch` may be
  /// null. kCancelled: Stop was called.
  [[nodiscard]] Result<SmearReport> Compare(const MemorySource& source, ReadWatch* watch);
  /// Any thread may call.
  void Stop() { stop_.store(true); }
  [[nodiscard]] uint64_t compared_pages() const { return compared_.load(); }
  [[nodiscard]] uint64_t pages() const { return pages_.size(); }

 private:
  struct Page {
    uint64_t phys = 0;
    uint64_t hash = 0;
    Clock::time_point read;
    PageKind kind = PageKind::kUnknown;  ///< when the capture began
    bool captured = false;
  };
  static_assert(sizeof(Page) <= kSmearPageBytes);

  explicit SmearSample(uint64_t page_bytes) : page_bytes_(page_bytes) {}
  void ChoosePages(const MemorySource& source, uint64_t pages);

  uint64_t page_bytes_;
  std::vector<Page> pages_;  ///< by address
  std::atomic<uint64_t> compared_{0};
  std::atomic<bool> stop_{false};
};

/// Wilson's interval of a share, for 95 %: of `all` there are `some`.
[[nodiscard]] SmearShare ShareOf(uint64_t some, uint64_t all);

}  // namespace kcoredump
