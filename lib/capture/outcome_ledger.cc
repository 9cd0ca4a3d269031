// SPDX-License-Identifier: MIT
#include "capture/outcome_ledger.h"

#include <algorithm>

#include "source/page_reader.h"

namespace kcoredump {

bool OutcomeLedger::Add(const ReadReport& report) {
  hole_pages_ += report.counts.holes() + report.counts.not_reached;
  for (PageRun run : report.runs) {
    // What a partial snapshot never held is, for a capture made from it, simply not in the source.
    if (run.outcome == PageOutcome::kNotReached) run.outcome = PageOutcome::kAbsent;
    JoinRun(runs_, run, page_bytes_);
    if (runs_.size() > kMaxTrailerRuns) return false;
  }
  return true;
}

void OutcomeLedger::Close(uint64_t physical_end, uint64_t reached_pages, uint64_t total_pages,
                          Trailer& trailer) const {
  trailer.runs.clear();
  trailer.counts = {};
  uint64_t listed_pages = 0;
  for (PageRun run : runs_) {
    if (run.first.address >= physical_end) break;
    run.pages = std::min(run.pages, (physical_end - run.first.address) / page_bytes_);
    if (run.pages == 0) break;
    trailer.counts.Of(run.outcome) += run.pages;
    listed_pages += run.pages;
    trailer.runs.push_back(run);
  }
  trailer.counts.direct = reached_pages - listed_pages;
  trailer.counts.not_reached += total_pages - reached_pages;
}

}  // namespace kcoredump
