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
#include "capture/batch_order.h"
#include "capture/batch_spool.h"
#include "capture/capture_plan.h"
#include "capture/footprint.h"
#include "capture/image_end.h"
#include "capture/outcome_ledger.h"
#include "capture/page_filter.h"
#include "capture/pipeline.h"
#include "capture/sidecar.h"
#include "capture/smear.h"
#include "capture/stall.h"
#include "capture/system_notes.h"
#include "format/codec.h"
#include "format/raw/format.h"
#include "format/registry.h"
#include "format/snapshot/base.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using SteadyClock = std::chrono::steady_clock;

/// Resident memory that a capture may take besides 16 bytes a frame, or 48 with hashes, and the
/// lists of frames of a snapshot that is its source or its base, and what of it is not the
/// pipeline's: the program itself, the writer's block, the headers; and the notes.
constexpr uint64_t kMemoryLimitBytes = 64 << 20;
constexpr uint64_t kFixedMemoryBytes = 12 << 20;
constexpr uint64_t kLeastPipelineBytes = 8 << 20;
static_assert(kFixedMemoryBytes + kMaxNoteBytes + kLeastPipelineBytes <= kMemoryLimitBytes);

constexpr std::chrono::milliseconds kProgressInterval{100};

uint64_t UtcNs() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

/// HOST-UTCTIME and the suffix; whatever a host name may hold, the file's name is plain.
std::string DefaultOutputName(std::string_view suffix) {
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
  return name + "-" + stamp.data() + std::string(suffix);
}

Status CheckOptions(const CaptureOptions& options) {
  const auto invalid = [](const std::string& message) {
    return MakeError(ErrorCode::kInvalidArgument, message);
  };
  if (options.level < MinLevel() || options.level > MaxLevel()) {
    return invalid("the level must be from " + std::to_string(MinLevel()) + " to " +
                   std::to_string(MaxLevel()));
  }
  if (options.frame_bytes != 0 && !IsFrameSize(options.frame_bytes)) {
    return invalid("the frame size must be a power of two from 4 KiB to 1 MiB");
  }
  if (options.retries > kMaxRetries) {
    return invalid("at most " + std::to_string(kMaxRetries) + " retries");
  }
  if (options.smear_pages > kMostSmearPages) {
    return invalid("a smear's sample has at most " + Grouped(kMostSmearPages) + " pages");
  }
  if (!(options.stall_timeout_seconds > 0)) return invalid("the stall timeout must be above 0");
  return {};
}

constexpr std::array kPageCodecs = {PageCodec::kZstd, PageCodec::kZlib, PageCodec::kLzo,
                                    PageCodec::kSnappy};
constexpr std::string_view kNoCodec = "none";

/// Who compresses pages; nothing: nobody.
Result<std::optional<PageCodec>> CodecOf(const CaptureOptions& options,
                                         const FormatWriting& writing) {
  if (options.codec.empty()) return std::optional(PageCodec::kZstd);
  if (!writing.has_codecs) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "the format " + options.format + " has no choice of codecs");
  }
  for (const PageCodec codec : kPageCodecs) {
    if (PageCodecName(codec) == options.codec) return std::optional(codec);
  }
  if (options.codec == kNoCodec) return std::optional<PageCodec>();
  return MakeError(ErrorCode::kInvalidArgument, "no codec \"" + options.codec + "\"");
}

/// A capture from its first byte to its report.
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

Status CaptureRun::Prepare() {
  KCD_TRY(CheckOptions(options_));
  KCD_ASSIGN(format_, FindWritableFormat(options_.format));
  KCD_ASSIGN(source_,
             OpenWatched(options_.source, options_.stall_timeout_seconds, options_.cancel));
  KCD_TRY(CheckSource());
  KCD_TRY(OpenBase());
  if (options_.frame_bytes < source_->page_bytes()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "a frame must hold at least a page of " + HumanBytes(source_->page_bytes()));
  }
  KCD_TRY(OpenOutput());
  Progress(CapturePhase::kPreparing);
  notes_ = CollectSystemNotes(*source_, options_);
  KCD_ASSIGN(const std::optional<PageCodec> codec, CodecOf(options_, *format_->writing));
  WriteRequest request{.source = source_.get(),
                       .codec = codec,
                       .level = options_.level,
                       .frame_bytes = options_.frame_bytes,
                       .hashes = WithHashes(),
                       .base = base_,
                       .dump_level = options_.exclude.bits()};
  KCD_ASSIGN(encoding_, format_->writing->encoding(request));
  filter_ = PageFilter::Make(*source_, options_);
  KCD_TRY(MakePlan());
  if (WithHashes() && plan_->frames() > kMaxHashedFrames) {
    return MakeError(ErrorCode::kLimitExceeded, Grouped(plan_->frames()) +
                                                    " frames are more than a trailer can list the "
                                                    "hashes of; take larger frames");
  }
  request.image_frames = plan_->frames();
  writer_ = format_->writing->writer(request, sink_.get());
  ledger_.emplace(source_->page_bytes());
  return writer_->Begin();
}

/// The base, and the frame size that it asks for.
Status CaptureRun::OpenBase() {
  if (WithHashes() && options_.format != kDefaultFormat) {
    return InvalidArgument("--base and --hashes are for snapshots, and not for the format " +
                           options_.format);
  }
  if (!options_.base.empty()) {
    KCD_ASSIGN(base_, SnapshotBase::Open(options_.base));
    if (options_.frame_bytes == 0 && IsFrameSize(base_->frame_bytes())) {
      options_.frame_bytes = base_->frame_bytes();
    }
  }
  if (options_.frame_bytes == 0) options_.frame_bytes = kDefaultFrameBytes;
  if (base_ == nullptr) return {};
  KCD_TRY(base_->CheckSizes(source_->page_bytes(), options_.frame_bytes));
  if (!base_->source().file().IsMadeOf(options_.output)) return {};
  return InvalidArgument(options_.output +
                         " is needed by what would replace it: its base, or the base's");
}

/// What folds a snapshot into its own base breaks every other that is made from that base.
Status CaptureRun::CheckSource() const {
  if (source_->kind() != SourceKind::kSnapshot) return {};
  const auto& base = static_cast<const SnapshotSource&>(*source_).file().base();
  if (base == nullptr || !base->IsMadeOf(options_.output)) return {};
  return InvalidArgument(options_.output + " is the base of " + options_.source +
                         ", and may be of others: choose another name");
}

Status CaptureRun::OpenOutput() {
  const FormatWriting& writing = *format_->writing;
  report_.output = options_.output.empty() ? DefaultOutputName(writing.suffix) : options_.output;
  if (report_.output != "-") {
    KCD_ASSIGN(sink_, CreateOutputFile(report_.output, options_.force));
    return {};
  }
  if (!writing.streams) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        "the format " + options_.format + " cannot be written to a pipe; name a file with -o FILE");
  }
  sink_ = CreatePipeSink(STDOUT_FILENO);
  return {};
}

/// What will be written, in batches that fit into memory.
Status CaptureRun::MakePlan() {
  // The source's notes stand in the image's head, too.
  const bool by_address = options_.order == CaptureOrder::kPhysical;
  const uint64_t taken =
      kFixedMemoryBytes + notes_.bytes.size() + 2 * source_->notes().bytes().size() +
      options_.smear_pages * kSmearPageBytes +
      (by_address ? 0
                  : kMaxEarlyBatches * kEarlyBatchBytes + encoding_->BatchBound(kMaxFrameBytes));
  // What the image does not hold is the sidecar's.
  const bool in_image = encoding_->shape() == ImageShape::kElf;
  KCD_ASSIGN(CapturePlan plan,
             CapturePlan::Make(*source_, encoding_->shape(),
                               in_image ? std::move(notes_.bytes) : std::vector<std::byte>(),
                               options_.frame_bytes));
  const uint64_t budget =
      std::max(kLeastPipelineBytes, kMemoryLimitBytes - std::min(kMemoryLimitBytes, taken));
  pipeline_options_ = FitToMemory(
      {.threads = options_.threads != 0 ? std::min(options_.threads, 1024U) : UsableCpus(),
       .batch_bytes = 0,
       .reader_bytes = source_->reader_bytes(),
       .filtered = filter_ != nullptr,
       .read = {.retries = options_.retries},
       .max_bytes_per_second = options_.max_bytes_per_second,
       .start = start_},
      *encoding_, budget);
  // The finer, the less that is not volatile is read along.
  const uint64_t finest = std::max<uint64_t>(options_.frame_bytes, encoding_->unit_bytes());
  if (!by_address) pipeline_options_.batch_bytes = finest;
  plan.CutIntoBatches(pipeline_options_.batch_bytes);
  plan_ = std::make_shared<CapturePlan>(std::move(plan));
  return ChooseOrder();
}

/// What is to be read again at the end, and what before its turn.
Status CaptureRun::ChooseOrder() {
  if (options_.smear_pages != 0) {
    KCD_ASSIGN(pipeline_options_.smear, SmearSample::Take(*source_, options_.smear_pages));
  }
  if (options_.order == CaptureOrder::kPhysical) return {};
  if (report_.output == "-") {
    return InvalidArgument(
        "what is read before its turn waits on the disk beside the output: for --order volatile "
        "name a file with -o FILE");
  }
  KCD_ASSIGN(BatchOrder order, VolatileFirst(*source_, *plan_, options_.first, options_.cancel));
  if (!source_->labels_known()) {
    notes_.warnings.emplace_back(
        "without /proc/kpageflags page tables and slab are not known: only tasks are read first");
  }
  if (order.crowded_out != 0) {
    notes_.warnings.push_back(Grouped(order.crowded_out) +
                              " frames of slab or page tables are read by address: more than " +
                              Grouped(kMaxEarlyBatches) + " are not kept until their turn");
  }
  KCD_ASSIGN(spool_, BatchSpool::Create(report_.output));
  kept_slot_.batch.bytes = std::make_unique_for_overwrite<std::byte[]>(
      encoding_->BatchBound(pipeline_options_.batch_bytes));
  early_ = std::make_shared<const std::vector<uint32_t>>(std::move(order.early));
  late_ = std::make_shared<const std::vector<uint32_t>>(std::move(order.late));
  return {};
}

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

Trailer CaptureRun::MakeTrailer(const std::optional<Error>& write_error) {
  if (write_error) EndEarly("writing failed: " + write_error->message);
  Trailer trailer;
  trailer.page_bytes = static_cast<uint32_t>(source_->page_bytes());
  trailer.plain_bytes = writer_->plain_bytes();
  trailer.expected_bytes = plan_->plain_bytes();
  trailer.complete = report_.reason.empty() && trailer.plain_bytes == trailer.expected_bytes;
  trailer.outcomes_known = source_->outcomes_known();
  trailer.labels_known = source_->labels_known();
  trailer.started_utc_ns = started_utc_ns_;
  trailer.ended_utc_ns = UtcNs();
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
                               base_->name());
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

void CaptureRun::FillReport() {
  TellOfBase();
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

}  // namespace

std::vector<std::string> WritableFormats() {
  std::vector<std::string> names;
  for (const Format& format : Formats()) {
    if (format.writing != nullptr) names.emplace_back(format.name);
  }
  return names;
}

std::vector<std::string> Codecs() {
  std::vector<std::string> names;
  for (const PageCodec codec : kPageCodecs) names.emplace_back(PageCodecName(codec));
  names.emplace_back(kNoCodec);
  return names;
}

std::string FormatOfFileName(std::string_view name) {
  std::string found;
  size_t longest = 0;
  for (const Format& format : Formats()) {
    if (format.writing == nullptr || !name.ends_with(format.writing->suffix)) continue;
    if (format.writing->suffix.size() <= longest) continue;
    longest = format.writing->suffix.size();
    found = format.name;
  }
  return found;
}

int MinLevel() { return MinCompressionLevel(); }
int MaxLevel() { return MaxCompressionLevel(); }

Result<CaptureReport> Capture(const CaptureOptions& options) { return CaptureRun(options).Run(); }

}  // namespace kcoredump
