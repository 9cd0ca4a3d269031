// SPDX-License-Identifier: MIT
#include "serve/mount_pages.h"

#include <algorithm>

#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr size_t kLabelsAtOnce = 16384;

/// What both cover. Both sorted and free of overlap.
std::vector<Range> Intersect(const std::vector<Range>& a, const std::vector<Range>& b) {
  return Subtract(a, Subtract(a, b));
}

/// Appends the pages of `labels`, the first at `phys`, that are no holes.
void AppendHeld(uint64_t phys, std::span<const PageLabel> labels, uint64_t page_bytes,
                std::vector<Range>& held) {
  for (const PageLabel& label : labels) {
    if (!IsHole(label.outcome)) {
      if (!held.empty() && held.back().end == phys) {
        held.back().end += page_bytes;
      } else {
        held.push_back({phys, phys + page_bytes});
      }
    }
    phys += page_bytes;
  }
}

}  // namespace

HeldPages::HeldPages(const std::vector<Range>& held) {
  uint64_t before = 0;
  runs_.reserve(held.size());
  for (const Range& range : held) {
    runs_.push_back({.phys = range, .before = before});
    before += range.size();
  }
}

Result<HeldPages> HeldPages::Of(const MemorySource& source) {
  KCD_ASSIGN(const auto reader, source.NewReader());
  const uint64_t page_bytes = source.page_bytes();
  std::vector<PageLabel> labels;
  std::vector<Range> held;
  // Headers may speak of much more than the file has.
  for (const Range& range :
       Intersect(source.map().RamRanges(), Normalized(source.PresentRanges()))) {
    for (uint64_t at = range.begin; at < range.end; at += labels.size() * page_bytes) {
      labels.assign(std::min<uint64_t>(kLabelsAtOnce, (range.end - at) / page_bytes), {});
      if (labels.empty()) break;
      reader->Label(PhysAddr{at}, labels);
      AppendHeld(at, labels, page_bytes, held);
      if (held.size() > kMaxHeldRuns) {
        return MakeError(ErrorCode::kLimitExceeded,
                         "memory in more than " + Grouped(kMaxHeldRuns) + " separate pieces");
      }
    }
  }
  return HeldPages(held);
}

uint64_t HeldPages::bytes() const {
  return runs_.empty() ? 0 : runs_.back().before + runs_.back().phys.size();
}

HeldPages::Stretch HeldPages::At(uint64_t phys) const {
  const auto after =
      std::upper_bound(runs_.begin(), runs_.end(), phys,
                       [](uint64_t at, const Run& run) { return at < run.phys.begin; });
  if (after != runs_.begin()) {
    const Range& run = std::prev(after)->phys;
    if (run.Contains(phys)) return {.held = true, .bytes = run.end - phys};
  }
  return {.held = false, .bytes = (after == runs_.end() ? ~uint64_t{0} : after->phys.begin) - phys};
}

}  // namespace kcoredump
