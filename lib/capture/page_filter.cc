// SPDX-License-Identifier: MIT
#include "capture/page_filter.h"

#include <algorithm>

#include "base/error.h"
#include "base/try.h"
#include "format/snapshot/format.h"
#include "kcoredump/text.h"
#include "space/page_uses.h"

namespace kcoredump {

namespace {

/// Of the room for runs: from here on only runs of kShortRun pages are left out, from there on
/// none.
constexpr uint64_t kRunsBeforeShort = kMaxTrailerRuns / 2;
constexpr uint64_t kRunsBeforeNone = kMaxTrailerRuns - kMaxTrailerRuns / 8;
constexpr uint64_t kShortRun = 32;

constexpr PageChoice kNotWanted{.outcome = PageOutcome::kExcluded,
                                .page_class = PageClass::kNotWanted};

/// Tells what pages are used for.
class UseTeller {
 public:
  virtual ~UseTeller() = default;
  virtual void Tell(PhysAddr first, std::span<PageUse> uses) = 0;
};

class FlagsTeller : public UseTeller {
 public:
  explicit FlagsTeller(std::unique_ptr<SourceReader> reader) : reader_(std::move(reader)) {}
  void Tell(PhysAddr first, std::span<PageUse> uses) override {
    classes_.assign(uses.size(), PageClass::kNone);
    if (!reader_->Classify(first, classes_)) return;
    // Poisoned and offline pages are the reader's to label.
    for (size_t i = 0; i < uses.size(); ++i) uses[i].page_class = classes_[i];
  }

 private:
  std::unique_ptr<SourceReader> reader_;
  std::vector<PageClass> classes_;
};

class StructTeller : public UseTeller {
 public:
  explicit StructTeller(std::unique_ptr<PageUses> uses) : uses_(std::move(uses)) {}
  void Tell(PhysAddr first, std::span<PageUse> uses) override { uses_->Tell(first, uses); }

 private:
  std::unique_ptr<PageUses> uses_;
};

class Chooser : public PageChooser {
 public:
  Chooser(std::unique_ptr<UseTeller> teller, PageClasses exclude, bool all_wanted,
          bool kernel_wanted, std::span<const Range> ranges, uint64_t page_bytes, bool live)
      : teller_(std::move(teller)),
        exclude_(exclude),
        all_wanted_(all_wanted),
        kernel_wanted_(kernel_wanted),
        ranges_(ranges),
        page_bytes_(page_bytes),
        live_(live) {}

  void Choose(PhysAddr first, std::span<PageChoice> choices) override {
    uses_.assign(choices.size(), {});
    const bool only_ranges = !all_wanted_ && !kernel_wanted_;
    const Range batch{first.value, first.value + choices.size() * page_bytes_};
    if (only_ranges && !Overlaps(batch)) {
      std::fill(choices.begin(), choices.end(), kNotWanted);
      return;
    }
    if (teller_ != nullptr) teller_->Tell(first, uses_);
    for (size_t i = 0; i < choices.size(); ++i) {
      choices[i] = ChoiceOf(uses_[i], first.value + i * page_bytes_);
    }
  }
  bool may_change() const override { return live_; }

 private:
  [[nodiscard]] bool Overlaps(const Range& range) const {
    const auto after = std::partition_point(
        ranges_.begin(), ranges_.end(), [&](const Range& one) { return one.end <= range.begin; });
    return after != ranges_.end() && after->begin < range.end;
  }

  [[nodiscard]] PageChoice ChoiceOf(const PageUse& use, uint64_t phys) const {
    if (use.fault == PageUse::Fault::kHwPoison) return {.outcome = PageOutcome::kHwPoison};
    if (use.fault == PageUse::Fault::kOffline) return {.outcome = PageOutcome::kOffline};
    const bool wanted = all_wanted_ || (kernel_wanted_ && use.page_class == PageClass::kNone) ||
                        Overlaps({phys, phys + page_bytes_});
    if (!wanted) return kNotWanted;
    if (!exclude_.Has(use.page_class)) return {};
    return {.outcome = PageOutcome::kExcluded, .page_class = use.page_class};
  }

  std::unique_ptr<UseTeller> teller_;  ///< nullptr: nothing is known, or asked for
  PageClasses exclude_;
  bool all_wanted_;
  bool kernel_wanted_;
  std::span<const Range> ranges_;
  uint64_t page_bytes_;
  bool live_;
  std::vector<PageUse> uses_;
};

}  // namespace

PageFilter::PageFilter(const MemorySource& source, const CaptureOptions& options)
    : source_(source), exclude_(options.exclude), only_(options.only) {
  if (!only_) return;
  for (const PhysRange& range : only_->ranges) only_ranges_.push_back({range.begin, range.end});
  only_ranges_ = Normalized(std::move(only_ranges_));
}

std::shared_ptr<const PageFilter> PageFilter::Make(const MemorySource& source,
                                                   const CaptureOptions& options) {
  if (options.exclude.empty() && !options.only) return nullptr;
  return std::shared_ptr<const PageFilter>(new PageFilter(source, options));
}

void PageFilter::Warn(std::string warning) const {
  const std::lock_guard lock(mutex_);
  warnings_.push_back(std::move(warning));
}

std::vector<std::string> PageFilter::Warnings() const {
  const uint64_t kept = kept_for_room_.load();
  const std::lock_guard lock(mutex_);
  std::vector<std::string> warnings = warnings_;
  if (kept != 0) {
    warnings.push_back(Grouped(kept) +
                       " pages that could have been left out were kept: the account of pages is "
                       "nearly full");
  }
  return warnings;
}

/// A layout of struct page that cannot be proven leaves nothing out.
void PageFilter::LearnUses() const {
  const bool kernel_wanted = only_ && only_->kernel;
  if (!exclude_.NeedsKernel() && !kernel_wanted) return;
  const auto keep_all = [this](const std::string& reason) {
    Warn("what pages are used for is not known: " + reason + "; no page was left out for its use");
  };
  if (source_.kind() == SourceKind::kLive) {
    by_flags_ = source_.labels_known();
    if (!by_flags_) keep_all("/proc/kpageflags does not answer");
    return;
  }
  auto facts = GatherKernelFacts(source_);
  if (!facts.ok()) return keep_all(facts.error().message);
  auto uses = PageUses::Create(source_, facts.value());
  const Status proven = uses.ok() ? uses.value()->Prove() : Status(uses.error());
  if (!proven.ok()) return keep_all(proven.error().message);
  for (const std::string& unknown : uses.value()->unknown()) Warn(unknown);
  facts_ = std::move(facts.value());
}

Result<std::unique_ptr<PageChooser>> PageFilter::NewChooser() const {
  std::call_once(learnt_, [this] { LearnUses(); });
  std::unique_ptr<UseTeller> teller;
  if (by_flags_) {
    KCD_ASSIGN(auto reader, source_.NewReader());
    teller = std::make_unique<FlagsTeller>(std::move(reader));
  } else if (facts_) {
    KCD_ASSIGN(auto uses, PageUses::Create(source_, *facts_));
    teller = std::make_unique<StructTeller>(std::move(uses));
  }
  return std::unique_ptr<PageChooser>(
      std::make_unique<Chooser>(std::move(teller), exclude_, !only_, only_ && only_->kernel,
                                only_ranges_, source_.page_bytes(), by_flags_));
}

bool PageFilter::HasRoomForZeros() const {
  return runs_.load(std::memory_order_relaxed) < kRunsBeforeShort;
}

void PageFilter::KeepShortRuns(std::span<PageChoice> choices) const {
  const uint64_t runs = runs_.load(std::memory_order_relaxed);
  if (runs < kRunsBeforeShort) return;
  const uint64_t shortest = runs < kRunsBeforeNone ? kShortRun : choices.size();
  for (size_t first = 0; first < choices.size();) {
    size_t end = first + 1;
    while (end < choices.size() && choices[end] == choices[first]) ++end;
    if (choices[first].outcome == PageOutcome::kExcluded && end - first < shortest) {
      kept_for_room_.fetch_add(end - first, std::memory_order_relaxed);
      std::fill(choices.begin() + static_cast<ptrdiff_t>(first),
                choices.begin() + static_cast<ptrdiff_t>(end), PageChoice{});
    }
    first = end;
  }
}

}  // namespace kcoredump
