// SPDX-License-Identifier: MIT
#include "capture/capture_run.h"
#include "capture/smear.h"

namespace kcoredump {

uint64_t UtcNs() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

void CaptureRun::Progress(CapturePhase phase) {
  const auto now = SteadyClock::now();
  const bool lasts = phase == CapturePhase::kReading || phase == CapturePhase::kComparing;
  if (lasts && now - last_progress_ < kProgressInterval) return;
  last_progress_ = now;
  if (options_.on_progress) options_.on_progress(ProgressNow(phase));
  if (phase == CapturePhase::kPreparing) return;  // nothing comes before the start
  Tell({.kind = CaptureEvent::Kind::kProgress, .progress = ProgressNow(phase)});
}

CaptureProgress CaptureRun::ProgressNow(CapturePhase phase) const {
  const bool comparing = phase == CapturePhase::kComparing;
  const auto& smear = pipeline_options_.smear;
  const uint64_t plain_bytes =
      (writer_ ? writer_->plain_bytes() : 0) + (spool_ ? spool_->plain_bytes() : 0);
  return {.phase = phase,
          .done_bytes = comparing ? smear->compared_pages() * source_->page_bytes() : plain_bytes,
          .total_bytes = comparing ? smear->pages() * source_->page_bytes()
                         : plan_   ? plan_->plain_bytes()
                                   : 0,
          .compressed_bytes = writer_ ? writer_->written_bytes() : 0,
          .hole_pages = ledger_ ? ledger_->hole_pages() : 0,
          .seconds = std::chrono::duration<double>(SteadyClock::now() - start_).count()};
}

void CaptureRun::Tell(CaptureEvent event) const {
  if (!options_.on_event) return;
  event.utc_ns = UtcNs();
  options_.on_event(event);
}

void CaptureRun::TellStart() {
  report_.source = options_.source;
  report_.format = options_.format;
  report_.warnings = notes_.warnings;
  Tell({.kind = CaptureEvent::Kind::kStart,
        .progress = ProgressNow(CapturePhase::kPreparing),
        .report = &report_});
  TellWarnings();
}

void CaptureRun::TellHoles(const std::vector<PageRun>& runs) const {
  for (const PageRun& run : runs) {
    if (!IsFailure(run.outcome)) continue;
    Tell({.kind = CaptureEvent::Kind::kHole,
          .progress = ProgressNow(CapturePhase::kReading),
          .hole = run});
  }
}

void CaptureRun::TellWarnings() {
  for (; warnings_told_ < report_.warnings.size(); ++warnings_told_) {
    Tell({.kind = CaptureEvent::Kind::kWarning,
          .progress = ProgressNow(CapturePhase::kReading),
          .text = report_.warnings[warnings_told_]});
  }
}

/// `done`: an error is why there is no report.
void CaptureRun::TellFinish(const Status& done) {
  TellWarnings();
  Tell({.kind = CaptureEvent::Kind::kFinish,
        .progress = ProgressNow(CapturePhase::kFinishing),
        .text = done.ok() ? "" : done.error().message,
        .report = done.ok() ? &report_ : nullptr});
}

}  // namespace kcoredump
