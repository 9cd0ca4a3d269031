// SPDX-License-Identifier: MIT
#include "kcoredump/capture.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <ctime>

#include "base/cpus.h"
#include "base/error.h"
#include "base/output_file.h"
#include "base/try.h"
#include "capture/capture_plan.h"
#include "capture/outcome_ledger.h"
#include "capture/pipeline.h"
#include "capture/system_notes.h"
#include "format/codec.h"
#include "format/registry.h"
#include "format/snapshot/writer.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using SteadyClock = std::chrono::steady_clock;

/// Resident memory that a capture may take besides 16 bytes a frame, and what of it is not the
/// pipeline's: the program itself, the writer's block, the headers.
constexpr uint64_t kMemoryLimitBytes = 64 << 20;
constexpr uint64_t kFixedMemoryBytes = 12 << 20;
constexpr uint64_t kLeastPipelineBytes = 8 << 20;

constexpr std::chrono::milliseconds kProgressInterval{100};
/// How much the trailer may need beyond what it takes a frame: its fixed part and the reason.
constexpr uint64_t kTailReserveBytes = 64 << 10;

uint64_t UtcNs() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

/// HOST-UTCTIME.elf.zst; whatever a host name may hold, the file's name is plain.
std::string DefaultOutputName() {
  utsname host{};
  uname(&host);
  std::string name = host.nodename[0] != '\0' ? host.nodename : "host";
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
    if (!plain) c = '_';
  }
  if (name.front() == '.') name.front() = '_';
  const time_t now = time(nullptr);
  tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> stamp{};
  strftime(stamp.data(), stamp.size(), "%Y%m%dT%H%M%SZ", &parts);
  return name + "-" + stamp.data() + ".elf.zst";
}

Status CheckOptions(const CaptureOptions& options) {
  const auto invalid = [](const std::string& message) {
    return MakeError(ErrorCode::kInvalidArgument, message);
  };
  if (options.level < MinLevel() || options.level > MaxLevel()) {
    return invalid("the level must be from " + std::to_string(MinLevel()) + " to " +
                   std::to_string(MaxLevel()));
  }
  if (!std::has_single_bit(options.frame_bytes) || options.frame_bytes < kMinFrameBytes ||
      options.frame_bytes > kMaxFrameBytes) {
    return invalid("the frame size must be a power of two from 4 KiB to 1 MiB");
  }
  if (options.retries > kMaxRetries) {
    return invalid("at most " + std::to_string(kMaxRetries) + " retries");
  }
  if (!(options.stall_timeout_seconds > 0)) return invalid("the stall timeout must be above 0");
  return {};
}

/// A capture from its first byte to its report.
class CaptureRun {
 public:
  explicit CaptureRun(const CaptureOptions& options) : options_(options) {}

  Result<CaptureReport> Run() {
    KCD_TRY(Prepare());
    ReadEverything();
    KCD_TRY(Finish());
    return std::move(report_);
  }

 private:
  Status Prepare();
  void ReadEverything();
  [[nodiscard]] bool TakeBatch(Slot& slot);
  void Progress(CapturePhase phase);
  [[nodiscard]] bool Interrupted(const Pipeline& pipeline);
  [[nodiscard]] Trailer MakeTrailer() const;
  Status Finish();
  void FillReport();
  void WarnOfNewMemory();

  /// The first reason counts; later ones follow from it.
  void EndEarly(std::string reason) {
    if (report_.reason.empty()) report_.reason = std::move(reason);
  }

  const CaptureOptions& options_;
  CaptureReport report_;
  std::shared_ptr<MemorySource> source_;
  SystemNotes notes_;
  std::shared_ptr<CapturePlan> plan_;
  PipelineOptions pipeline_options_;
  std::unique_ptr<ByteSink> sink_;
  std::optional<SnapshotWriter> writer_;
  std::optional<OutcomeLedger> ledger_;
  bool write_failed_ = false;
  uint64_t started_utc_ns_ = 0;
  SteadyClock::time_point start_ = SteadyClock::now();
  SteadyClock::time_point last_progress_;
};

Status CaptureRun::Prepare() {
  KCD_TRY(CheckOptions(options_));
  started_utc_ns_ = UtcNs();
  KCD_ASSIGN(source_, OpenSource(options_.source));
  if (options_.frame_bytes < source_->page_bytes()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "a frame must hold at least a page of " + HumanBytes(source_->page_bytes()));
  }
  report_.output = options_.output.empty() ? DefaultOutputName() : options_.output;
  if (report_.output == "-") {
    sink_ = CreatePipeSink(STDOUT_FILENO);
  } else {
    KCD_ASSIGN(sink_, CreateOutputFile(report_.output, options_.force));
  }
  Progress(CapturePhase::kPreparing);
  notes_ = CollectSystemNotes(*source_, options_);
  const uint64_t taken = kFixedMemoryBytes + notes_.bytes.size();
  KCD_ASSIGN(CapturePlan plan,
             CapturePlan::Make(*source_, std::move(notes_.bytes), options_.frame_bytes));

  const uint64_t budget =
      std::max(kLeastPipelineBytes, kMemoryLimitBytes - std::min(kMemoryLimitBytes, taken));
  pipeline_options_ = FitToMemory(
      {.threads = options_.threads != 0 ? std::min(options_.threads, 1024U) : UsableCpus(),
       .level = options_.level,
       .frame_bytes = options_.frame_bytes,
       .batch_bytes = 0,
       .read = {.retries = options_.retries}},
      budget);
  plan.CutIntoBatches(pipeline_options_.batch_bytes);
  plan_ = std::make_shared<CapturePlan>(std::move(plan));
  writer_.emplace(sink_.get(), plan_->frames());
  ledger_.emplace(source_->page_bytes());
  return {};
}

void CaptureRun::ReadEverything() {
  Pipeline pipeline(source_, plan_, pipeline_options_);
  if (Status started = pipeline.Start(); !started.ok()) {
    return EndEarly(started.error().message);
  }
  for (uint64_t taken = 0; taken < plan_->batches() && !Interrupted(pipeline);) {
    Slot* slot = pipeline.Next(kProgressInterval);
    if (slot != nullptr) {
      if (!TakeBatch(*slot)) return;
      pipeline.Release();
      ++taken;
    }
    Progress(CapturePhase::kReading);
  }
}

/// Writes a batch and keeps account of it. False: the capture ends here.
bool CaptureRun::TakeBatch(Slot& slot) {
  if (slot.error) {
    EndEarly("reading failed: " + slot.error->message);
    return false;
  }
  // Accounted for first: of a batch that is written in part, what was written is known.
  if (!ledger_->Add(slot.report)) {
    EndEarly("memory has more than " + Grouped(kMaxTrailerRuns) +
             " separate holes, which is more than a snapshot can account for");
    return false;
  }
  size_t at = 0;
  for (const CompressedFrame& frame : slot.frames) {
    const std::span<const std::byte> bytes(slot.bytes.get() + at, frame.compressed_bytes);
    Status status =
        writer_->Append(bytes, frame.content_bytes, slot.milliseconds, frame.zero_pages);
    if (!status.ok()) {
      write_failed_ = true;
      EndEarly("writing failed: " + status.error().message);
      return false;
    }
    at += frame.compressed_bytes;
  }
  report_.layout_moves += slot.moves;
  return true;
}

void CaptureRun::Progress(CapturePhase phase) {
  const auto now = SteadyClock::now();
  if (!options_.on_progress) return;
  if (phase == CapturePhase::kReading && now - last_progress_ < kProgressInterval) return;
  last_progress_ = now;
  options_.on_progress({.phase = phase,
                        .done_bytes = writer_ ? writer_->plain_bytes() : 0,
                        .total_bytes = plan_ ? plan_->plain_bytes() : 0,
                        .compressed_bytes = writer_ ? writer_->compressed_bytes() : 0,
                        .hole_pages = ledger_ ? ledger_->hole_pages() : 0,
                        .seconds = std::chrono::duration<double>(now - start_).count()});
}

bool CaptureRun::Interrupted(const Pipeline& pipeline) {
  if (options_.cancel != nullptr && options_.cancel->load()) {
    EndEarly("interrupted");
    return true;
  }
  const auto limit = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(std::min(options_.stall_timeout_seconds, 1e9)));
  const auto address = pipeline.StalledAt(limit);
  if (!address) return false;
  std::array<char, 32> seconds{};
  std::snprintf(seconds.data(), seconds.size(), "%g", options_.stall_timeout_seconds);
  const std::string what = *address == kWatchOpening
                               ? "opening " + options_.source
                               : "the read at physical " + HexAddress(*address);
  EndEarly(what + " did not return within " + seconds.data() + " s");
  return true;
}

Trailer CaptureRun::MakeTrailer() const {
  Trailer trailer;
  trailer.page_bytes = static_cast<uint32_t>(source_->page_bytes());
  trailer.plain_bytes = writer_->plain_bytes();
  trailer.expected_bytes = plan_->plain_bytes();
  trailer.complete = report_.reason.empty() && trailer.plain_bytes == trailer.expected_bytes;
  trailer.started_utc_ns = started_utc_ns_;
  trailer.ended_utc_ns = UtcNs();
  trailer.reason = report_.reason;
  trailer.zero_pages = writer_->zero_pages();
  const uint64_t reached_bytes = plan_->MemoryBytesIn(trailer.plain_bytes);
  ledger_->Close(plan_->PhysicalEnd(trailer.plain_bytes), reached_bytes / source_->page_bytes(),
                 plan_->memory_bytes() / source_->page_bytes(), trailer);
  return trailer;
}

/// Trailer, seek table, publication. A full disk costs the newest frames: they make room for the
/// end that lets the rest be read.
Status CaptureRun::Finish() {
  Progress(CapturePhase::kFinishing);
  if (writer_->plain_bytes() == 0 && !write_failed_) {
    return MakeError(ErrorCode::kCancelled, report_.reason + " before anything was read");
  }
  if (const std::string reason = source_->IncompleteReason(); !reason.empty()) {
    EndEarly("the source is not complete: " + reason);
  }
  Trailer trailer = MakeTrailer();
  Status finished =
      write_failed_ ? Status(MakeError(ErrorCode::kIo, report_.reason)) : writer_->Finish(trailer);
  uint64_t reserve = kTailReserveBytes + trailer.runs.size() * sizeof(PageRun);
  for (; !finished.ok(); reserve *= 2) {
    EndEarly("writing failed: " + finished.error().message);
    if (!writer_->MakeRoom(reserve).ok()) return std::move(finished.error());
    trailer = MakeTrailer();
    finished = writer_->Finish(trailer);
  }
  report_.status = trailer.complete && trailer.counts.holes() == 0 ? CaptureStatus::kComplete
                   : trailer.complete ? CaptureStatus::kCompleteWithHoles
                                      : CaptureStatus::kPartial;
  report_.pages = trailer.counts;
  report_.zero_pages = trailer.zero_pages;
  report_.runs = std::move(trailer.runs);
  KCD_ASSIGN(report_.output, sink_->Publish(trailer.complete));
  FillReport();
  return {};
}

/// Memory that was plugged in meanwhile is in no program header of the snapshot.
void CaptureRun::WarnOfNewMemory() {
  const auto now = OpenSource(options_.source);
  if (!now.ok()) return;
  for (const Range& range : Subtract(now.value()->map().RamRanges(), source_->map().RamRanges())) {
    report_.warnings.push_back("memory was added during the capture and is not in it: " +
                               HexAddress(range.begin) + "-" + HexAddress(range.end - 1));
  }
}

void CaptureRun::FillReport() {
  report_.source = options_.source;
  report_.plain_bytes = writer_->plain_bytes();
  report_.expected_bytes = plan_->plain_bytes();
  report_.compressed_bytes = writer_->compressed_bytes();
  report_.seconds = std::chrono::duration<double>(SteadyClock::now() - start_).count();
  report_.page_bytes = source_->page_bytes();
  report_.iomem = notes_.iomem;
  report_.kallsyms = notes_.kallsyms;
  report_.lockdown = notes_.lockdown;
  report_.around_page_cache = sink_->around_page_cache();
  report_.threads = pipeline_options_.threads;
  report_.level = options_.level;
  report_.frame_bytes = options_.frame_bytes;
  report_.page_flags = source_->kind() != SourceKind::kLive ? PageFlagsState::kNotApplicable
                       : source_->Caveats().empty()         ? PageFlagsState::kUsed
                                                            : PageFlagsState::kUnavailable;
  report_.warnings = notes_.warnings;
  if (source_->kind() == SourceKind::kLive) WarnOfNewMemory();
}

}  // namespace

int MinLevel() { return MinCompressionLevel(); }
int MaxLevel() { return MaxCompressionLevel(); }

Result<CaptureReport> Capture(const CaptureOptions& options) { return CaptureRun(options).Run(); }

}  // namespace kcoredump
