// SPDX-License-Identifier: MIT
//
// The snapshot's on-disk structures; FORMAT.md beside this file specifies them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash256.h"
#include "kcoredump/address.h"
#include "kcoredump/memory.h"
#include "kcoredump/result.h"

namespace kcoredump {

// Skippable frames (RFC 8878, 3.1.2).
inline constexpr uint32_t kBaseFrameMagic = 0x184D2A5B;
inline constexpr uint32_t kReferenceFrameMagic = 0x184D2A5C;
inline constexpr uint32_t kTrailerFrameMagic = 0x184D2A5D;
inline constexpr uint32_t kSeekTableFrameMagic = 0x184D2A5E;
inline constexpr size_t kSkippableHeaderBytes = 8;

// zstd seekable format 0.1.0 (zstd: contrib/seekable_format/zstd_seekable_compression_format.md).
inline constexpr uint32_t kSeekableMagic = 0x8F92EAB1;
inline constexpr uint8_t kSeekTableHasChecksums = 0x80;
inline constexpr size_t kSeekTableFooterBytes = 9;
inline constexpr size_t kSeekTableEntryBytes = 12;

/// Most frames of one snapshot: what a seek table, a skippable frame, can list (12 bytes each).
inline constexpr uint64_t kMaxFrames = 0xfffffff0 / kSeekTableEntryBytes;

/// What zstd unpacks an incremental snapshot to begins so.
inline constexpr char kNoticeStart[] = "This is an incremental snapshot of kcoredump";

/// The same with a hash each, which the trailer, a skippable frame, must have room for.
inline constexpr uint64_t kMaxHashedFrames = 0xf0000000 / (sizeof(uint32_t) + sizeof(Hash256));

inline constexpr char kTrailerMagic[9] = "KCDTRAIL";
inline constexpr uint32_t kTrailerVersion = 1;
inline constexpr uint64_t kMaxTrailerRuns = 1 << 19;
inline constexpr uint32_t kMaxReasonBytes = 4096;

// An incremental snapshot, which leaves out what its base has.
inline constexpr char kBaseMagic[9] = "KCDBASED";
inline constexpr uint32_t kBaseVersion = 1;
inline constexpr uint32_t kMaxBaseNameBytes = 255;
inline constexpr uint32_t kMaxNoticeBytes = 64 << 10;
/// Bases of bases of one snapshot.
inline constexpr size_t kMaxBases = 16;

/// Bits of the trailer's flag word.
inline constexpr uint32_t kFlagComplete = 1;
inline constexpr uint32_t kFlagOutcomesUnknown = 2;
inline constexpr uint32_t kFlagLabelsUnknown = 4;
inline constexpr uint32_t kFlagHashes = 8;
inline constexpr uint32_t kFlagIncremental = 16;

// Notes of the vendor segment.
inline constexpr uint32_t kVendorSegmentType = 0x6b636f72;  ///< "kcor", within PT_LOOS…PT_HIOS
inline constexpr char kNoteOwner[] = "KCOREDUMP";
enum class NoteType : uint32_t {
  kMeta = 1,      ///< JSON: the capture's metadata
  kKallsyms = 2,  ///< text of /proc/kallsyms
  kBtf = 3,       ///< name, NUL, zeros to a multiple of 8, then the BTF of that module or vmlinux
  kModules = 4,   ///< text of /proc/modules
  kVmallocinfo = 5,  ///< text of /proc/vmallocinfo
  kIomem = 6,        ///< text of /proc/iomem
  kCmdline = 7,      ///< text of /proc/cmdline
  kVersion = 8,      ///< text of /proc/version
};
[[nodiscard]] std::string NoteTypeName(uint32_t type);

/// One entry of the seek table.
struct SeekEntry {
  uint32_t compressed_bytes = 0;
  uint32_t content_bytes = 0;
  uint32_t checksum = 0;
};
static_assert(sizeof(SeekEntry) == kSeekTableEntryBytes);

/// What an incremental snapshot begins with: which file has what it leaves out.
struct BaseLink {
  std::string name;           ///< of a file in the same folder
  Hash256 id{};               ///< of the base: SnapshotFile::Identity
  uint32_t notice_bytes = 0;  ///< of the frame that follows, a text for those who unpack the file
};

/// What stands in a frame's place: the base has it.
struct FrameReference {
  uint32_t frame = 0;  ///< of the base, by its seek table
  uint32_t content_bytes = 0;
  Hash256 hash{};         ///< SHA-256 of the content
  uint32_t checksum = 0;  ///< as a frame ends with it: low 32 bits of XXH64 of the content
};
inline constexpr size_t kReferenceBytes = kSkippableHeaderBytes + 4 + 4 + sizeof(Hash256) + 4;

/// What only the end of a capture knows.
struct Trailer {
  bool complete = false;
  bool outcomes_known = true;  ///< false: a page that was read may be a hole of the source's
  bool labels_known = true;    ///< false: poisoned, offline and ballooned pages may be zeros
  uint32_t page_bytes = 0;
  uint64_t plain_bytes = 0;     ///< content of all data frames
  uint64_t expected_bytes = 0;  ///< what a complete snapshot would hold
  uint64_t started_utc_ns = 0;
  uint64_t ended_utc_ns = 0;
  PageCounts counts;
  uint64_t zero_pages = 0;
  std::string reason;                 ///< why it is not complete; empty when it is
  std::vector<PageRun> runs;          ///< physical, ascending; never kDirect, never kNotReached
  std::vector<uint32_t> frame_ms;     ///< a frame each: milliseconds since the start
  std::vector<Hash256> frame_hashes;  ///< a frame each, of its content; or empty
  std::optional<Hash256> base_id;     ///< of an incremental snapshot: BaseLink's
  uint32_t references = 0;            ///< frames that the base has
};

/// Magic number and length of a skippable frame.
[[nodiscard]] std::array<std::byte, kSkippableHeaderBytes> EncodeSkippableHeader(
    uint32_t magic, uint64_t payload_bytes);

/// The whole skippable frame. The name is at most kMaxBaseNameBytes long.
[[nodiscard]] std::vector<std::byte> EncodeBaseLink(const BaseLink& link);
/// `payload` is the frame's content. kCorrupt; kUnsupported: of a later version.
[[nodiscard]] Result<BaseLink> DecodeBaseLink(std::span<const std::byte> payload);
/// Whether a base may be called that: it stands in the folder of what is made from it.
[[nodiscard]] bool IsBaseName(std::string_view name);

/// Both: the whole skippable frame, of kReferenceBytes.
[[nodiscard]] std::vector<std::byte> EncodeReference(const FrameReference& reference);
/// Nothing: it is none.
[[nodiscard]] std::optional<FrameReference> DecodeReference(std::span<const std::byte> frame);

/// The trailer's payload up to the outcome map. What follows is streamed by the writer: the frames'
/// milliseconds, what `more_flags` (kFlagHashes, kFlagIncremental) promise, the seek entries' hash,
/// and the hash of all before it.
[[nodiscard]] std::vector<std::byte> EncodeTrailerHead(const Trailer& trailer, uint32_t frames,
                                                       uint32_t more_flags = 0);

[[nodiscard]] std::array<std::byte, kSeekTableFooterBytes> EncodeSeekTableFooter(uint32_t frames);

/// No trailer for that many frames is longer.
[[nodiscard]] uint64_t MaxTrailerBytes(uint64_t frames);

/// `payload` is the frame's content. kCorrupt: any byte of it or of the seek table differs from
/// what was written.
[[nodiscard]] Result<Trailer> DecodeTrailer(std::span<const std::byte> payload,
                                            std::span<const SeekEntry> seek_entries);

/// How many frames the footer, the file's last 9 bytes, speaks of; nothing: it is not one of ours.
[[nodiscard]] std::optional<uint32_t> DecodeSeekTableFooter(std::span<const std::byte> footer);

}  // namespace kcoredump
