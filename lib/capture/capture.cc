// SPDX-License-Identifier: MIT
#include "kcoredump/capture.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>

#include "base/cpus.h"
#include "base/error.h"
#include "base/output_file.h"
#include "base/try.h"
#include "capture/batch_order.h"
#include "capture/capture_run.h"
#include "capture/smear.h"
#include "capture/stall.h"
#include "format/codec.h"
#include "format/registry.h"
#include "format/snapshot/base.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// Resident memory that a capture may take besides 16 bytes a frame, or 48 with hashes, and the
/// lists of frames of a snapshot that is its source or its base, and what of it is not the
/// pipeline's: the program itself, the writer's block, the headers; and the notes.
constexpr uint64_t kMemoryLimitBytes = 64 << 20;
constexpr uint64_t kFixedMemoryBytes = 12 << 20;
constexpr uint64_t kLeastPipelineBytes = 8 << 20;
static_assert(kFixedMemoryBytes + kMaxNoteBytes + kLeastPipelineBytes <= kMemoryLimitBytes);

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

}  // namespace

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

std::vector<std::string> WritableFormats() {
  std::vector<std::string> names;
  for (const Format& format : Formats()) {
    if (format.writing != nullptr) names.emplace_back(format.name);
  }
  return names;
}

std::vector<std::string> Codecs() {
  std::vector<std::string> names;
  names.reserve(kPageCodecs.size() + 1);
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
