// SPDX-License-Identifier: MIT
#include <array>

#include "kcoredump/memory.h"

namespace kcoredump {

std::string_view SegmentKindName(SegmentKind kind) {
  static constexpr std::array<std::string_view, 6> kNames = {"ram",     "kernel-image", "vmalloc",
                                                             "modules", "vmemmap",      "gate"};
  return kNames.at(static_cast<size_t>(kind));
}

uint64_t& PageCounts::Of(PageOutcome outcome) {
  switch (outcome) {
    case PageOutcome::kDirect:
      return direct;
    case PageOutcome::kRetried:
      return retried;
    case PageOutcome::kBounced:
      return bounced;
    case PageOutcome::kUnreadable:
      return unreadable;
    case PageOutcome::kHwPoison:
      return hwpoison;
    case PageOutcome::kOffline:
      return offline;
    case PageOutcome::kAbsent:
      return absent;
    case PageOutcome::kNotReached:
      return not_reached;
    case PageOutcome::kExcluded:
      return excluded;
  }
  return not_reached;
}

void PageCounts::Add(const PageCounts& other) {
  direct += other.direct;
  retried += other.retried;
  bounced += other.bounced;
  unreadable += other.unreadable;
  hwpoison += other.hwpoison;
  offline += other.offline;
  absent += other.absent;
  not_reached += other.not_reached;
  excluded += other.excluded;
}

const PageRun* ReadReport::FirstHole() const {
  for (const PageRun& run : runs) {
    if (IsHole(run.outcome)) return &run;
  }
  return nullptr;
}

void ReadReport::Clear() {
  counts = {};
  runs.clear();
  doubtful_pages = 0;
}

}  // namespace kcoredump
