// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/range.h"
#include "kcoredump/result.h"
#include "source/memory_source.h"

namespace kcoredump {

/// Most separate runs of pages: 96 MiB of them.
inline constexpr size_t kMaxHeldRuns = 4 << 20;

/// The pages that an image holds: its RAM without what it says is missing. None is read for it.
/// Immutable; any thread may call any method.
class HeldPages {
 public:
  /// Contiguous pages, by physical address.
  struct Run {
    Range phys;
    uint64_t before = 0;  ///< bytes of all runs below it
  };
  /// What is at an address and those that follow it.
  struct Stretch {
    bool held = false;
    uint64_t bytes = 0;  ///< that are alike
  };

  HeldPages() = default;
  explicit HeldPages(const std::vector<Range>& held);
  /// Asks for the label of every page. Of a live kernel it is true for the moment.
  /// kLimitExceeded: more than kMaxHeldRuns.
  [[nodiscard]] static Result<HeldPages> Of(const MemorySource& source);

  [[nodiscard]] std::span<const Run> runs() const { return runs_; }
  [[nodiscard]] uint64_t bytes() const;
  [[nodiscard]] Stretch At(uint64_t phys) const;

 private:
  std::vector<Run> runs_;
};

}  // namespace kcoredump
