// SPDX-License-Identifier: MIT
//
// Which pages a capture leaves out on purpose. A live kernel says by /proc/kpageflags what it uses
// its pages for, a dead one by its struct pages; where neither can be had, pages are kept.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/range.h"
#include "kcoredump/capture.h"
#include "kernel/kernel_facts.h"
#include "source/memory_source.h"

namespace kcoredump {

/// What becomes of a page.
struct PageChoice {
  /// kDirect: it is read. kExcluded. kHwPoison, kOffline: reading it would do harm or say nothing.
  PageOutcome outcome = PageOutcome::kDirect;
  PageClass page_class = PageClass::kNone;  ///< why it is excluded

  [[nodiscard]] bool is_read() const { return outcome == PageOutcome::kDirect; }
  bool operator==(const PageChoice&) const = default;
};

/// For one thread.
class PageChooser {
 public:
  virtual ~PageChooser() = default;
  /// Chooses for `choices.size()` pages from `first` on.
  virtual void Choose(PhysAddr first, std::span<PageChoice> choices) = 0;
  /// A live kernel's pages change their use: what was left out must be asked for again afterwards.
  [[nodiscard]] virtual bool may_change() const = 0;
};

/// Any thread may call any method.
class PageFilter {
 public:
  /// nullptr: every page is wanted. What cannot be told is added to `warnings`. The source must
  /// outlive the filter.
  [[nodiscard]] static Result<std::shared_ptr<const PageFilter>> Make(
      const MemorySource& source, const CaptureOptions& options,
      std::vector<std::string>& warnings);

  [[nodiscard]] Result<std::unique_ptr<PageChooser>> NewChooser() const;
  [[nodiscard]] bool excludes_zeros() const { return exclude_.Has(PageClass::kZero); }

  /// Keeps single pages that could be left out once the account of pages, which has room for
  /// kMaxTrailerRuns runs, fills up; the fuller it is, the longer a run must be to be left out.
  /// Takes note of the runs of `choices` that remain.
  void KeepShortRuns(std::span<PageChoice> choices) const;
  /// How many pages KeepShortRuns kept.
  [[nodiscard]] uint64_t kept_for_room() const { return kept_for_room_.load(); }

 private:
  PageFilter(const MemorySource& source, const CaptureOptions& options);
  void ProveUses(std::vector<std::string>& warnings);

  const MemorySource& source_;
  PageClasses exclude_;
  std::optional<CaptureOnly> only_;
  std::vector<Range> only_ranges_;
  std::optional<KernelFacts> facts_;  ///< nothing: struct pages are not read
  bool by_flags_ = false;
  mutable std::atomic<uint64_t> runs_{0};
  mutable std::atomic<uint64_t> kept_for_room_{0};
};

}  // namespace kcoredump
