// SPDX-License-Identifier: MIT
#include "format/snapshot/format.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "base/bytes.h"
#include "base/error.h"
#include "format/codec.h"
#include "kcoredump/text.h"
#include "source/memory_source.h"

namespace kcoredump {

namespace {

constexpr std::array kCountOrder = {
    PageOutcome::kDirect,     PageOutcome::kRetried,    PageOutcome::kBounced,
    PageOutcome::kUnreadable, PageOutcome::kHwPoison,   PageOutcome::kOffline,
    PageOutcome::kAbsent,     PageOutcome::kNotReached, PageOutcome::kExcluded};

constexpr uint32_t kAllFlags =
    kFlagComplete | kFlagOutcomesUnknown | kFlagLabelsUnknown | kFlagHashes | kFlagIncremental;

/// One run of the outcome map as it stands in the file. `detail`: the errno, or of an excluded run
/// its PageClass.
struct RawRun {
  uint64_t first_phys = 0;
  uint64_t pages = 0;
  uint32_t outcome = 0;
  uint32_t detail = 0;
};
static_assert(sizeof(RawRun) == 24);

constexpr bool IsExcluded(uint32_t outcome) {
  return outcome == static_cast<uint32_t>(PageOutcome::kExcluded);
}

/// One class, or none.
constexpr bool IsClass(uint32_t detail) {
  return detail <= static_cast<uint32_t>(PageClass::kNotWanted) && (detail & (detail - 1)) == 0;
}

Error CorruptTrailer(const std::string& what) { return Corrupt("the trailer is damaged: " + what); }

/// Reads one field after another; the first that is missing makes all later ones missing too.
class FieldReader {
 public:
  explicit FieldReader(std::span<const std::byte> bytes) : reader_(bytes) {}

  template <typename T>
  T Next() {
    const auto value = reader_.Read<T>();
    failed_ |= !value.has_value();
    return value.value_or(T{});
  }
  std::string_view Text(uint64_t bytes) {
    const auto text = reader_.Take(bytes);
    failed_ |= !text.has_value();
    return text ? AsText(*text) : std::string_view();
  }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] size_t remaining() const { return reader_.remaining(); }

 private:
  ByteReader reader_;
  bool failed_ = false;
};

/// What the outcome map lists: all but what is direct, or follows from the image's size.
bool IsListed(uint32_t outcome) {
  return outcome > static_cast<uint32_t>(PageOutcome::kDirect) &&
         outcome <= static_cast<uint32_t>(PageOutcome::kExcluded) &&
         outcome != static_cast<uint32_t>(PageOutcome::kNotReached);
}

bool Plausible(const RawRun& run, uint64_t previous_end, uint32_t page_bytes) {
  uint64_t bytes = 0;
  uint64_t end = 0;
  return run.pages != 0 && run.first_phys >= previous_end && run.first_phys % page_bytes == 0 &&
         !__builtin_mul_overflow(run.pages, page_bytes, &bytes) &&
         !__builtin_add_overflow(run.first_phys, bytes, &end) && IsListed(run.outcome) &&
         (IsExcluded(run.outcome) ? IsClass(run.detail)
                                  : run.detail <= std::numeric_limits<int>::max());
}

Status DecodeRuns(FieldReader& fields, Trailer& trailer) {
  const auto count = fields.Next<uint32_t>();
  if (count > kMaxTrailerRuns || count * sizeof(RawRun) > fields.remaining()) {
    return CorruptTrailer("too many runs in the outcome map");
  }
  uint64_t previous_end = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const auto raw = fields.Next<RawRun>();
    if (!Plausible(raw, previous_end, trailer.page_bytes))
      return CorruptTrailer("a bad outcome run");
    previous_end = raw.first_phys + raw.pages * trailer.page_bytes;
    const bool excluded = IsExcluded(raw.outcome);
    trailer.runs.push_back(
        {.first = PhysAddr{raw.first_phys},
         .pages = raw.pages,
         .outcome = static_cast<PageOutcome>(raw.outcome),
         .system_errno = excluded ? 0 : static_cast<int>(raw.detail),
         .page_class = excluded ? static_cast<PageClass>(raw.detail) : PageClass::kNone});
  }
  return {};
}

}  // namespace

std::string NoteTypeName(uint32_t type) {
  switch (static_cast<NoteType>(type)) {
    case NoteType::kMeta:
      return "meta";
    case NoteType::kKallsyms:
      return "kallsyms";
    case NoteType::kBtf:
      return "btf";
    case NoteType::kModules:
      return "modules";
    case NoteType::kVmallocinfo:
      return "vmallocinfo";
    case NoteType::kIomem:
      return "iomem";
    case NoteType::kCmdline:
      return "cmdline";
    case NoteType::kVersion:
      return "version";
  }
  return "type " + std::to_string(type);
}

std::array<std::byte, kSkippableHeaderBytes> EncodeSkippableHeader(uint32_t magic,
                                                                   uint64_t payload_bytes) {
  const std::array<uint32_t, 2> fields = {magic, static_cast<uint32_t>(payload_bytes)};
  return std::bit_cast<std::array<std::byte, kSkippableHeaderBytes>>(fields);
}

bool IsBaseName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxBaseNameBytes && name != "." && name != ".." &&
         std::none_of(name.begin(), name.end(), [](char c) {
           return c == '/' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
         });
}

std::vector<std::byte> EncodeBaseLink(const BaseLink& link) {
  ByteWriter body;
  body.Append(std::string_view(kBaseMagic, 8));
  body.Write(kBaseVersion);
  body.Write(link.notice_bytes);
  body.Write(link.id);
  body.Write(static_cast<uint32_t>(link.name.size()));
  body.Append(std::string_view(link.name));
  body.Write(Hash64(body.bytes()));
  ByteWriter frame;
  frame.Append(EncodeSkippableHeader(kBaseFrameMagic, body.bytes().size()));
  frame.Append(body.bytes());
  return std::move(frame.bytes());
}

Result<BaseLink> DecodeBaseLink(std::span<const std::byte> payload) {
  const auto corrupt = [](const std::string& what) {
    return Corrupt("what tells of the snapshot's base is damaged: " + what);
  };
  if (payload.size() < sizeof(uint64_t)) return corrupt("too short");
  const auto hashed = payload.first(payload.size() - sizeof(uint64_t));
  if (FieldReader(payload.subspan(hashed.size())).Next<uint64_t>() != Hash64(hashed)) {
    return corrupt("its checksum does not match");
  }
  FieldReader fields(hashed);
  if (fields.Text(8) != kBaseMagic) return corrupt("no magic number");
  const auto version = fields.Next<uint32_t>();
  if (version != kBaseVersion) {
    return MakeError(ErrorCode::kUnsupported, "an incremental snapshot of version " +
                                                  std::to_string(version) +
                                                  "; this program knows version 1");
  }
  BaseLink link;
  link.notice_bytes = fields.Next<uint32_t>();
  link.id = fields.Next<Hash256>();
  const auto name_bytes = fields.Next<uint32_t>();
  link.name = fields.Text(name_bytes);
  if (fields.failed() || fields.remaining() != 0) return corrupt("its length does not match");
  if (link.notice_bytes > kMaxNoticeBytes) return corrupt("its notice is too long");
  if (!IsBaseName(link.name)) {
    return corrupt("\"" + link.name + "\" is no name of a file beside it");
  }
  return link;
}

std::vector<std::byte> EncodeReference(const FrameReference& reference) {
  ByteWriter out;
  out.Append(EncodeSkippableHeader(kReferenceFrameMagic, kReferenceBytes - kSkippableHeaderBytes));
  out.Write(reference.frame);
  out.Write(reference.content_bytes);
  out.Write(reference.hash);
  out.Write(reference.checksum);
  return std::move(out.bytes());
}

std::optional<FrameReference> DecodeReference(std::span<const std::byte> frame) {
  FieldReader fields(frame);
  const bool ours = fields.Next<uint32_t>() == kReferenceFrameMagic &&
                    fields.Next<uint32_t>() == kReferenceBytes - kSkippableHeaderBytes;
  FrameReference reference;
  reference.frame = fields.Next<uint32_t>();
  reference.content_bytes = fields.Next<uint32_t>();
  reference.hash = fields.Next<Hash256>();
  reference.checksum = fields.Next<uint32_t>();
  if (!ours || fields.failed() || fields.remaining() != 0) return std::nullopt;
  return reference;
}

std::vector<std::byte> EncodeTrailerHead(const Trailer& trailer, uint32_t frames,
                                         uint32_t more_flags) {
  ByteWriter body;
  body.Append(std::string_view(kTrailerMagic, 8));
  body.Write(kTrailerVersion);
  body.Write(more_flags | (trailer.complete ? kFlagComplete : 0) |
             (trailer.outcomes_known ? 0 : kFlagOutcomesUnknown) |
             (trailer.labels_known ? 0 : kFlagLabelsUnknown));
  body.Write(trailer.page_bytes);
  body.Write(frames);
  for (const uint64_t value : {trailer.plain_bytes, trailer.expected_bytes, trailer.started_utc_ns,
                               trailer.ended_utc_ns}) {
    body.Write(value);
  }
  PageCounts counts = trailer.counts;
  for (const PageOutcome outcome : kCountOrder) body.Write(counts.Of(outcome));
  body.Write(trailer.zero_pages);
  const std::string_view reason = std::string_view(trailer.reason).substr(0, kMaxReasonBytes);
  body.Write(static_cast<uint32_t>(reason.size()));
  body.Append(reason);
  body.Write(static_cast<uint32_t>(trailer.runs.size()));
  for (const PageRun& run : trailer.runs) {
    body.Write(RawRun{.first_phys = run.first.address,
                      .pages = run.pages,
                      .outcome = static_cast<uint32_t>(run.outcome),
                      .detail = run.outcome == PageOutcome::kExcluded
                                    ? static_cast<uint32_t>(run.page_class)
                                    : static_cast<uint32_t>(run.system_errno)});
  }
  return std::move(body.bytes());
}

uint64_t MaxTrailerBytes(uint64_t frames) {
  static constexpr uint64_t kFixedFieldsBytes = 256;
  return kFixedFieldsBytes + kMaxReasonBytes + kMaxTrailerRuns * sizeof(RawRun) +
         frames * (sizeof(uint32_t) + sizeof(Hash256));
}

Result<Trailer> DecodeTrailer(std::span<const std::byte> payload,
                              std::span<const SeekEntry> seek_entries) {
  if (payload.size() < sizeof(uint64_t)) return CorruptTrailer("too short");
  const auto hashed = payload.first(payload.size() - sizeof(uint64_t));
  if (FieldReader(payload.subspan(hashed.size())).Next<uint64_t>() != Hash64(hashed)) {
    return CorruptTrailer("its checksum does not match");
  }
  FieldReader fields(hashed);
  if (fields.Text(8) != kTrailerMagic) return CorruptTrailer("no magic number");
  const auto version = fields.Next<uint32_t>();
  if (version != kTrailerVersion) {
    return MakeError(ErrorCode::kUnsupported, "a trailer of version " + std::to_string(version) +
                                                  "; this program knows version 1");
  }
  const auto flags = fields.Next<uint32_t>();
  if ((flags & ~kAllFlags) != 0) {
    return MakeError(ErrorCode::kUnsupported,
                     "a trailer with flags that this program does not "
                     "know: " +
                         Hex(flags));
  }
  Trailer trailer;
  trailer.complete = (flags & kFlagComplete) != 0;
  trailer.outcomes_known = (flags & kFlagOutcomesUnknown) == 0;
  trailer.labels_known = (flags & kFlagLabelsUnknown) == 0;
  trailer.page_bytes = fields.Next<uint32_t>();
  if (!IsPageSize(trailer.page_bytes)) return CorruptTrailer("no such page size");
  const auto frames = fields.Next<uint32_t>();
  for (uint64_t* value : {&trailer.plain_bytes, &trailer.expected_bytes, &trailer.started_utc_ns,
                          &trailer.ended_utc_ns}) {
    *value = fields.Next<uint64_t>();
  }
  for (const PageOutcome outcome : kCountOrder)
    trailer.counts.Of(outcome) = fields.Next<uint64_t>();
  trailer.zero_pages = fields.Next<uint64_t>();
  const auto reason_bytes = fields.Next<uint32_t>();
  if (reason_bytes > kMaxReasonBytes) return CorruptTrailer("its reason is too long");
  trailer.reason = fields.Text(reason_bytes);
  if (Status runs = DecodeRuns(fields, trailer); !runs.ok()) return std::move(runs.error());
  const bool hashes = (flags & kFlagHashes) != 0;
  const bool incremental = (flags & kFlagIncremental) != 0;
  const uint64_t a_frame = sizeof(uint32_t) + (hashes ? sizeof(Hash256) : 0);
  const uint64_t of_base = incremental ? sizeof(Hash256) + sizeof(uint32_t) : 0;
  if (frames * a_frame + of_base + sizeof(uint64_t) != fields.remaining()) {
    return CorruptTrailer("its length does not match");
  }
  if (frames != seek_entries.size()) return CorruptTrailer("the number of frames does not match");
  trailer.frame_ms.resize(frames);
  for (uint32_t& milliseconds : trailer.frame_ms) milliseconds = fields.Next<uint32_t>();
  if (hashes) trailer.frame_hashes.resize(frames);
  for (Hash256& hash : trailer.frame_hashes) hash = fields.Next<Hash256>();
  if (incremental) {
    trailer.base_id = fields.Next<Hash256>();
    trailer.references = fields.Next<uint32_t>();
    if (trailer.references > frames) return CorruptTrailer("more references than frames");
  }
  if (fields.Next<uint64_t>() != Hash64(std::as_bytes(seek_entries))) {
    return CorruptTrailer("the seek table is not the one that was written");
  }
  if (fields.failed()) return CorruptTrailer("too short");
  return trailer;
}

std::array<std::byte, kSeekTableFooterBytes> EncodeSeekTableFooter(uint32_t frames) {
  ByteWriter out;
  out.Write(frames);
  out.Write(kSeekTableHasChecksums);
  out.Write(kSeekableMagic);
  std::array<std::byte, kSeekTableFooterBytes> footer{};
  std::copy(out.bytes().begin(), out.bytes().end(), footer.begin());
  return footer;
}

std::optional<uint32_t> DecodeSeekTableFooter(std::span<const std::byte> footer) {
  ByteReader reader(footer);
  const auto frames = reader.Read<uint32_t>();
  const auto descriptor = reader.Read<uint8_t>();
  const auto magic = reader.Read<uint32_t>();
  if (!magic || *magic != kSeekableMagic || *descriptor != kSeekTableHasChecksums) {
    return std::nullopt;
  }
  if (*frames > kMaxFrames) return std::nullopt;
  return frames;
}

}  // namespace kcoredump
