// SPDX-License-Identifier: MIT
#include "base/error.h"
#include "capture/capture_run.h"
#include "capture/stall.h"
#include "kcoredump/text.h"

namespace kcoredump {

/// Hands each batch of a pipeline to `take`, until that returns false or the capture ends early.
/// False: not all of them.
template <typename Take>
bool CaptureRun::TakeAll(Pipeline& pipeline, Take take) {
  if (Status started = pipeline.Start(); !started.ok()) {
    FailReading(std::move(started.error()));
    return false;
  }
  for (uint64_t taken = 0; taken < pipeline.batches() && !Interrupted(pipeline);) {
    if (Slot* slot = pipeline.Next(kProgressInterval); slot != nullptr) {
      if (!take(*slot)) return false;
      pipeline.Release();
      ++taken;
    }
    Progress(CapturePhase::kReading);
  }
  return report_.reason.empty();
}

void CaptureRun::ReadEverything() {
  PipelineOptions options = pipeline_options_;
  options.order = late_;
  if (!spool_ || ReadEarly(options)) {
    Pipeline pipeline(source_, plan_, filter_, encoding_, options);
    const auto take = [this](Slot& slot) { return TakeKept(slot.index) && TakeBatch(slot); };
    if (TakeAll(pipeline, take)) (void)TakeKept(plan_->batches());
  }
  if (!report_.reason.empty() && !write_error_) SaveKept();
  spool_.reset();  // a disk that is full needs the room for the image's end
}

/// False: the capture ends here.
bool CaptureRun::ReadEarly(PipelineOptions options) {
  options.order = early_;
  Pipeline pipeline(source_, plan_, filter_, encoding_, options);
  const bool all = TakeAll(pipeline, [this](Slot& slot) { return KeepBatch(slot); });
  report_.early_bytes = spool_->plain_bytes();
  return all;
}

/// Keeps a batch that was read early. False: the capture ends here.
bool CaptureRun::KeepBatch(Slot& slot) {
  if (slot.error) {
    FailReading(std::move(*slot.error));
    return false;
  }
  if (Status kept = spool_->Add(slot); !kept.ok()) {
    EndEarly("writing failed: " + kept.error().message);
    write_error_ = std::move(kept.error());
    return false;
  }
  return true;
}

/// Takes the kept batches whose turn comes before that of `index`. False: the capture ends here.
bool CaptureRun::TakeKept(uint64_t index) {
  while (spool_) {
    const auto first = spool_->First();
    if (!first || *first >= index) break;
    if (Status taken = spool_->Take(*first, kept_slot_); !taken.ok()) {
      FailReading(std::move(taken.error()));
      return false;
    }
    if (!TakeBatch(kept_slot_)) return false;
  }
  return true;
}

/// The capture ends early: what was read early is in it all the same, with blanks before.
void CaptureRun::SaveKept() {
  if (!spool_ || !spool_->First()) return;
  auto blanks = BlankBatches::Create(*plan_, *encoding_, source_->page_bytes());
  while (blanks.ok()) {
    const auto first = spool_->First();
    if (!first) return;
    while (next_batch_ < *first) {
      if (!blanks.value().Make(next_batch_, kept_slot_).ok() || !TakeBatch(kept_slot_)) return;
    }
    if (!TakeKept(*first + 1)) return;
  }
}

/// Writes a batch and keeps account of it. False: the capture ends here.
bool CaptureRun::TakeBatch(Slot& slot) {
  if (slot.error) {
    FailReading(std::move(*slot.error));
    return false;
  }
  // Accounted for first: of a batch that is written in part, what was written is known.
  if (!ledger_->Add(slot.report)) {
    EndEarly("memory has more than " + Grouped(kMaxTrailerRuns) +
             " separate holes, which is more than a snapshot can account for");
    return false;
  }
  if (Status written = writer_->Append(slot.batch); !written.ok()) {
    EndEarly("writing failed: " + written.error().message);
    write_error_ = std::move(written.error());
    return false;
  }
  next_batch_ = slot.index + 1;
  report_.layout_moves += slot.moves;
  if (report_.reason.empty()) TellHoles(slot.report.runs);
  return true;
}

bool CaptureRun::Interrupted(Pipeline& pipeline) {
  if (options_.cancel != nullptr && options_.cancel->load()) {
    EndEarly("interrupted");
    return true;
  }
  const auto address = pipeline.StalledAt(StallLimit(options_.stall_timeout_seconds));
  if (!address) return false;
  read_error_ =
      DidNotReturn(DescribeWatched(*address, options_.source), options_.stall_timeout_seconds);
  EndEarly(read_error_->message);
  return true;
}

}  // namespace kcoredump
