// SPDX-License-Identifier: MIT
//
// Which pages a capture leaves out on purpose. A live kernel says by /proc/kpageflags what it uses
// its pages for, a dead one by its struct pages; where neither can be had, pages are kept.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
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
  /// nullptr: every page is wanted. The source, of which nothing is read here, must outlive the
  /// filter.
  [[nodiscard]] static std::shared_ptr<const PageFilter> Make(const MemorySource& source,
                                                              const CaptureOptions& options);

  /// The first call reads struct pages all over a dump, and may not return if reads do not.
  [[nodiscard]] Result<std::unique_ptr<PageChooser>> NewChooser() const;
  /// What could not be told, so that pages were kept, a line each.
  [[nodiscard]] std::vector<std::string> Warnings() const;
  [[nodiscard]] bool excludes_zeros() const { return exclude_.Has(PageClass::kZero); }

  /// The account of pages has room for kMaxTrailerRuns runs. As it fills up, short runs that could
  /// be left out are kept; the fuller it is, the longer a run must be.
  void KeepShortRuns(std::span<PageChoice> choices) const;
  [[nodiscard]] bool HasRoomForZeros() const;
  /// So many runs came into the account.
  void Note(uint64_t runs) const { runs_.fetch_add(runs, std::memory_order_relaxed); }

 private:
  PageFilter(const MemorySource& source, const CaptureOptions& options);
  void LearnUses() const;
  void Warn(std::string warning) const;

  const MemorySource& source_;
  PageClasses exclude_;
  std::optional<CaptureOnly> only_;
  std::vector<Range> only_ranges_;
  mutable std::once_flag learnt_;
  mutable std::optional<KernelFacts> facts_;  ///< once learnt; nothing: struct pages are not read
  mutable bool by_flags_ = false;             ///< once learnt
  mutable std::mutex mutex_;                  ///< of what could not be told
  mutable std::vector<std::string> warnings_;
  mutable std::atomic<uint64_t> runs_{0};
  mutable std::atomic<uint64_t> kept_for_room_{0};
};

}  // namespace kcoredump
