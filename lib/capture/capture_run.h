// SPDX-License-Identifier: MIT
//
// What a capture is while it runs. Its methods, in the order of a capture: capture.cc prepares,
// capture_read.cc reads and writes, capture_finish.cc ends it, capture_events.cc tells of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/output_file.h"
#include "base/try.h"
#include "capture/batch_spool.h"
#include "capture/capture_plan.h"
#include "capture/footprint.h"
#include "capture/outcome_ledger.h"
#include "capture/page_filter.h"
#include "capture/pipeline.h"
#include "capture/system_notes.h"
#include "format/registry.h"
#include "format/snapshot/base.h"
#include "kcoredump/capture.h"

namespace kcoredump {

inline constexpr std::chrono::milliseconds kProgressInterval{100};

/// Nanoseconds since 1970.
[[nodiscard]] uint64_t UtcNs();

/// A capture from its first byte to its report. For one thread.
class CaptureRun {
 public:
  explicit CaptureRun(const CaptureOptions& options)
      : options_(options), started_utc_ns_(UtcNs()) {}

  Result<CaptureReport> Run() {
    const Status done = Execute();
    TellFinish(done);
    if (!done.ok()) return done.error();
    return std::move(report_);
  }

 private:
  using SteadyClock = std::chrono::steady_clock;

  Status Execute() {
    KCD_TRY(Prepare());
    TellStart();
    ReadEverything();
    MeasureSmear();
    return Finish();
  }
  Status Prepare();
  Status OpenBase();
  [[nodiscard]] Status CheckSource() const;
  Status OpenOutput();
  Status MakePlan();
  Status ChooseOrder();
  void ReadEverything();
  bool ReadEarly(PipelineOptions options);
  template <typename Take>
  [[nodiscard]] bool TakeAll(Pipeline& pipeline, Take take);
  [[nodiscard]] bool KeepBatch(Slot& slot);
  [[nodiscard]] bool TakeKept(uint64_t index);
  void SaveKept();
  [[nodiscard]] bool TakeBatch(Slot& slot);
  void Progress(CapturePhase phase);
  [[nodiscard]] CaptureProgress ProgressNow(CapturePhase phase) const;
  void Tell(CaptureEvent event) const;
  void TellStart();
  void TellHoles(const std::vector<PageRun>& runs) const;
  void TellWarnings();
  void TellFinish(const Status& done);
  [[nodiscard]] bool Interrupted(Pipeline& pipeline);
  [[nodiscard]] Trailer MakeTrailer(const std::optional<Error>& write_error);
  [[nodiscard]] Error GiveUp(Error error);
  Status Finish();
  void FillReport();
  void TellOfBase();
  void TellOfDamage();
  [[nodiscard]] bool WithHashes() const { return options_.hashes || !options_.base.empty(); }
  void WriteRangesBeside();
  void WriteSidecar();
  void WarnOfNewMemory();
  void MeasureSmear();

  /// The first reason counts; later ones follow from it.
  void EndEarly(std::string reason) {
    if (report_.reason.empty()) report_.reason = std::move(reason);
  }

  void FailReading(Error error) {
    EndEarly("reading failed: " + error.message);
    read_error_ = std::move(error);
  }

  CaptureOptions options_;  ///< with the frame size that was chosen
  CaptureReport report_;
  std::shared_ptr<MemorySource> source_;
  SystemNotes notes_;
  const Format* format_ = nullptr;
  std::shared_ptr<const SnapshotBase> base_;
  std::shared_ptr<const ImageEncoding> encoding_;
  std::shared_ptr<CapturePlan> plan_;
  std::shared_ptr<const PageFilter> filter_;
  PipelineOptions pipeline_options_;
  std::optional<BatchSpool> spool_;                     ///< nothing: all is read by address
  std::shared_ptr<const std::vector<uint32_t>> early_;  ///< with a spool: what is read into it
  std::shared_ptr<const std::vector<uint32_t>> late_;   ///< and all other batches
  Slot kept_slot_;                                      ///< with a spool: of a batch out of it
  uint64_t next_batch_ = 0;                             ///< those before it are written
  std::unique_ptr<ByteSink> sink_;
  std::unique_ptr<ImageWriter> writer_;
  std::optional<OutcomeLedger> ledger_;
  std::optional<Error> read_error_;
  std::optional<Error> write_error_;
  const uint64_t started_utc_ns_;  ///< the same moment as start_
  const SteadyClock::time_point start_ = SteadyClock::now();
  SteadyClock::time_point last_progress_;
  const FootprintMeter footprint_;
  size_t warnings_told_ = 0;  ///< of report_.warnings
};

}  // namespace kcoredump
