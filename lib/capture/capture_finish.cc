// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/try.h"
#include "capture/capture_run.h"
#include "capture/image_end.h"
#include "capture/sidecar.h"
#include "capture/smear.h"
#include "capture/stall.h"
#include "format/raw/format.h"
#include "kcoredump/text.h"

namespace kcoredump {

Trailer CaptureRun::MakeTrailer(const std::optional<Error>& write_error) {
  if (write_error) EndEarly("writing failed: " + write_error->message);
  Trailer trailer;
  trailer.page_bytes = static_cast<uint32_t>(source_->page_bytes());
  trailer.plain_bytes = writer_->plain_bytes();
  trailer.expected_bytes = plan_->plain_bytes();
  trailer.complete = report_.reason.empty() && trailer.plain_bytes == trailer.expected_bytes;
  trailer.outcomes_known = source_->outcomes_known();
  trailer.labels_known = source_->labels_known();
  // What a snapshot is made anew from tells when it was memory.
  const CaptureTimes times = source_->Times().value_or(
      CaptureTimes{.started_utc_ns = started_utc_ns_, .ended_utc_ns = UtcNs()});
  trailer.started_utc_ns = times.started_utc_ns;
  trailer.ended_utc_ns = times.ended_utc_ns;
  trailer.reason = report_.reason;
  trailer.zero_pages = writer_->zero_pages();
  const uint64_t reached_bytes = plan_->MemoryBytesIn(trailer.plain_bytes);
  ledger_->Close(plan_->PhysicalEnd(trailer.plain_bytes), reached_bytes / source_->page_bytes(),
                 plan_->memory_bytes() / source_->page_bytes(), trailer);
  // To the writer they are zero pages like any other.
  trailer.zero_pages -= std::min(trailer.zero_pages, CountExcluded(trailer.runs).zero);
  return trailer;
}

/// The end, publication, and what is said of both.
Status CaptureRun::Finish() {
  Progress(CapturePhase::kFinishing);
  if (writer_->plain_bytes() == 0 && !write_error_) {
    if (read_error_) return std::move(*read_error_);
    return MakeError(ErrorCode::kCancelled, report_.reason + " before anything was read");
  }
  if (const std::string reason = source_->IncompleteReason(); !reason.empty()) {
    EndEarly("the source is not complete: " + reason);
  }
  auto finished =
      FinishImage(*writer_, std::move(write_error_),
                  [this](const std::optional<Error>& error) { return MakeTrailer(error); });
  if (!finished.ok()) return GiveUp(std::move(finished.error()));
  Trailer& trailer = finished.value();
  report_.status = trailer.complete && trailer.counts.holes() == 0 ? CaptureStatus::kComplete
                   : trailer.complete ? CaptureStatus::kCompleteWithHoles
                                      : CaptureStatus::kPartial;
  report_.pages = trailer.counts;
  report_.zero_pages = trailer.zero_pages;
  report_.runs = std::move(trailer.runs);
  report_.excluded = CountExcluded(report_.runs);
  KCD_ASSIGN(report_.output, sink_->Publish(trailer.complete));
  FillReport();
  WriteRangesBeside();
  WriteSidecar();
  return {};
}

/// An image that cannot even be given its end is kept as it is: a snapshot is read as far as its
/// frames are whole.
Error CaptureRun::GiveUp(Error error) {
  const auto kept = sink_->Keep();
  if (kept.ok()) {
    error.message += "; what was written before is in " + kept.value() + ", torn";
  } else if (kept.error().code == ErrorCode::kIo) {
    error.message += "; " + kept.error().message;
  }
  return error;
}

/// Where the ranges of an image that has none are written; without, nobody knows what is memory.
void CaptureRun::WriteRangesBeside() {
  if (format_->writing->holds_ranges) return;
  const std::string what = "which parts of a " + options_.format + " image are memory";
  if (report_.output == "-") {
    report_.warnings.push_back(what + " is lost: a pipe has no place beside it");
    return;
  }
  const std::string path = report_.output + kRawSidecarSuffix;
  const Status written = WriteRanges(path, report_, *source_,
                                     plan_->PhysicalEnd(writer_->plain_bytes()), options_.force);
  report_.warnings.push_back(
      what + (written.ok() ? " is in " + path : " is lost: " + written.error().message));
}

/// What the format cannot hold goes beside it. That it could not be written is no reason to lose
/// the image.
void CaptureRun::WriteSidecar() {
  const FormatWriting& writing = *format_->writing;
  const bool notes = !writing.holds_notes && !notes_.bytes.empty();
  // That a page was left out on purpose most formats show by not having it.
  const auto is_lost = [&](const PageRun& run) {
    return run.outcome != PageOutcome::kExcluded || writing.fills_gaps;
  };
  const bool outcomes =
      !writing.holds_outcomes && std::any_of(report_.runs.begin(), report_.runs.end(), is_lost);
  if (!notes && !outcomes) return;
  const std::string what = std::string(notes ? "the notes about the kernel" : "") +
                           (notes && outcomes ? " and " : "") +
                           (outcomes ? "the account of pages that could not be read" : "");
  const std::string cannot = "the format " + options_.format + " cannot hold " + what;
  if (report_.output == "-") {
    report_.warnings.push_back(cannot + ", and a pipe has no place beside it: it is lost");
    return;
  }
  const std::string path = report_.output + kSidecarSuffix;
  if (Status written =
          kcoredump::WriteSidecar(path, report_, *source_, notes_.bytes, options_.force);
      !written.ok()) {
    report_.warnings.push_back(cannot + ", and it is lost: " + written.error().message);
    return;
  }
  report_.sidecar = path;
  report_.warnings.push_back(cannot + "; it is in " + path);
}

void CaptureRun::TellOfBase() {
  if (base_ == nullptr) return;
  const ReferenceCounts references = writer_->references();
  report_.base = base_->name();
  report_.referenced_frames = references.frames;
  report_.referenced_bytes = references.content_bytes;
  if (report_.output == "-" || !base_->IsBeside(report_.output)) {
    report_.warnings.push_back("the snapshot opens only where its base is beside it, as " +
                               base_->name() + ": copy or link it there from " +
                               base_->source().path());
  }
  if (references.frames == 0) {
    report_.warnings.push_back("nothing is the same in " + base_->name() +
                               ": is it of this boot, and has it the same pages?");
  }
}

/// Memory that was plugged in meanwhile is in no program header of the snapshot.
void CaptureRun::WarnOfNewMemory() {
  const auto now = OpenWatched(options_.source, options_.stall_timeout_seconds, options_.cancel);
  if (!now.ok()) {
    report_.warnings.push_back("whether memory was added during the capture is not known: " +
                               now.error().message);
    return;
  }
  for (const Range& range : Subtract(now.value()->map().RamRanges(), source_->map().RamRanges())) {
    report_.warnings.push_back("memory was added during the capture and is not in it: " +
                               HexAddress(range.begin) + "-" + HexAddress(range.end - 1));
  }
}

/// Right after the last page was read.
void CaptureRun::MeasureSmear() {
  const auto& smear = pipeline_options_.smear;
  if (smear == nullptr || !report_.reason.empty()) return;
  const auto compared = std::make_shared<SmearReport>();
  const auto compare = [compared, smear, source = source_](ReadWatch* watch) -> Status {
    KCD_ASSIGN(*compared, smear->Compare(*source, watch));
    return {};
  };
  const auto go_on = [this] {
    Progress(CapturePhase::kComparing);
    return options_.cancel == nullptr || !options_.cancel->load();
  };
  const Status done = RunWatched(compare, options_.source, options_.stall_timeout_seconds, go_on);
  smear->Stop();
  if (done.ok()) {
    report_.smear = *compared;
  } else {
    report_.warnings.push_back("how much changed meanwhile is not known: " + done.error().message);
  }
}

/// Pages that were lost after they had been captured.
void CaptureRun::TellOfDamage() {
  uint64_t pages = 0;
  for (const PageRun& run : report_.runs) {
    if (run.outcome == PageOutcome::kUnreadable && run.system_errno == EBADMSG) pages += run.pages;
  }
  if (pages == 0) return;
  report_.warnings.push_back(Grouped(pages) + " pages are damaged in " + options_.source +
                             ", or in its base: kcoredump verify names the frames");
}

void CaptureRun::FillReport() {
  TellOfBase();
  TellOfDamage();
  report_.plain_bytes = writer_->plain_bytes();
  report_.expected_bytes = plan_->plain_bytes();
  report_.compressed_bytes = writer_->written_bytes();
  report_.seconds = std::chrono::duration<double>(SteadyClock::now() - start_).count();
  report_.page_bytes = source_->page_bytes();
  report_.iomem = notes_.iomem;
  report_.kallsyms = notes_.kallsyms;
  report_.lockdown = notes_.lockdown;
  report_.around_page_cache = sink_->around_page_cache();
  report_.threads = pipeline_options_.threads;
  report_.level = options_.level;
  report_.frame_bytes = options_.frame_bytes;
  report_.page_flags = PageFlagsOf(*source_);
  report_.order = options_.order;
  report_.footprint = footprint_.Now(report_.output);
  if (filter_ != nullptr) {
    const std::vector<std::string> kept = filter_->Warnings();
    report_.warnings.insert(report_.warnings.end(), kept.begin(), kept.end());
  }
  // A source that stalled or was interrupted is not asked again.
  const bool partial = report_.status == CaptureStatus::kPartial;
  if (source_->kind() == SourceKind::kLive && !partial) WarnOfNewMemory();
}

}  // namespace kcoredump
