// SPDX-License-Identifier: MIT
#include "format/avml/chunk_index.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/try.h"
#include "format/avml/format.h"
#include "format/codec_page.h"
#include "format/lime/format.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// The length that a compressed chunk's data begin with: a varint of at most five bytes.
constexpr size_t kLengthBytes = 5;
constexpr size_t kPeekBytes = kSnappyChunkHeaderBytes + kSnappyChecksumBytes + kLengthBytes;

Error Damaged(uint64_t position, const std::string& what) {
  return MakeError(ErrorCode::kCorrupt,
                   "the snappy stream is damaged at " + Hex(position) + ": " + what);
}

Result<uint32_t> ContentBytes(const SnappyChunkHeader& header, uint64_t position,
                              std::span<const std::byte> body) {
  if (header.bytes < kSnappyChecksumBytes) return Damaged(position, "a chunk without a checksum");
  std::optional<size_t> bytes = header.bytes - kSnappyChecksumBytes;
  if (header.type == kSnappyCompressed) {
    if (*bytes > CompressedPageBound(PageCodec::kSnappy, kMaxSnappyContentBytes)) {
      return Damaged(position, "a chunk that is too long");
    }
    bytes = SnappyContentBytes(body.first(std::min<size_t>(body.size(), *bytes)));
  }
  if (!bytes || *bytes > kMaxSnappyContentBytes) {
    return Damaged(position, "a chunk of more than 64 KiB, or of no known length");
  }
  return static_cast<uint32_t>(*bytes);
}

/// One stream after another.
class StreamWalk {
 public:
  explicit StreamWalk(const InputFile& file) : file_(file) {}

  Result<ChunkIndex> Run() {
    while (position_ < file_.bytes || index_.memory.empty()) {
      const uint64_t at = position_;
      Status range = AddRange();
      if (range.ok()) continue;
      if (index_.memory.empty() || range.error().code == ErrorCode::kLimitExceeded) {
        return std::move(range.error());
      }
      index_.incomplete_reason =
          "the file is torn or damaged after " + Hex(at) + ": " + range.error().message;
      break;
    }
    return Finish();
  }

 private:
  /// A header, its stream, and the length that follows it.
  Status AddRange() {
    MemoryRangeHeader header;
    KCD_TRY(file_.ReadExactly(position_, std::as_writable_bytes(std::span(&header, 1))));
    if (header.magic != kAvmlMagic || header.version != kAvmlVersion) {
      return MakeError(ErrorCode::kUnsupported, "there is no AVML header of version 2");
    }
    KCD_ASSIGN(const Range phys, header.PhysRange());
    position_ += sizeof(header);
    const uint64_t begin = position_;
    index_.memory.push_back(phys);
    index_.missing = phys;
    KCD_TRY(WalkStream(phys));
    uint64_t stream_bytes = 0;
    KCD_TRY(file_.ReadExactly(position_, std::as_writable_bytes(std::span(&stream_bytes, 1))));
    if (stream_bytes != position_ - begin) {
      return Damaged(position_, "its length is not what stands after it");
    }
    position_ += sizeof(stream_bytes);
    return {};
  }

  Status WalkStream(const Range& phys) {
    std::array<uint8_t, kSnappyStreamIdChunk.size()> id{};
    KCD_TRY(file_.ReadExactly(position_, std::as_writable_bytes(std::span(id))));
    if (id != kSnappyStreamIdChunk) return Damaged(position_, "it does not begin as one");
    position_ += id.size();
    unsigned since_mark = 0;
    for (uint64_t at = phys.begin; at < phys.end;) {
      KCD_ASSIGN(const AvmlChunk chunk, NextChunk(file_, ahead_, position_));
      if (chunk.content_bytes > phys.end - at) return Damaged(position_, "more than its range");
      if (since_mark == 0) {
        if (index_.marks.size() == kMaxChunkMarks) {
          return MakeError(ErrorCode::kLimitExceeded, "too many chunks");
        }
        index_.marks.push_back({.phys = at, .position = chunk.position});
      }
      since_mark = (since_mark + 1) % kChunksAMark;
      at += chunk.content_bytes;
      position_ = chunk.end();
      index_.missing.begin = at;
    }
    return {};
  }

  Result<ChunkIndex> Finish() {
    std::sort(index_.marks.begin(), index_.marks.end(),
              [](const ChunkMark& a, const ChunkMark& b) { return a.phys < b.phys; });
    uint64_t bytes = 0;
    for (const Range& range : index_.memory) bytes += range.size();
    index_.memory = Normalized(std::move(index_.memory));
    for (const Range& range : index_.memory) bytes -= range.size();
    if (bytes != 0) return MakeError(ErrorCode::kCorrupt, "two ranges claim the same memory");
    if (index_.memory.size() > kMaxProgramHeaders) {
      return MakeError(ErrorCode::kLimitExceeded,
                       "more than " + Grouped(kMaxProgramHeaders) + " ranges");
    }
    return std::move(index_);
  }

  const InputFile& file_;
  ReadAhead ahead_;
  uint64_t position_ = 0;
  ChunkIndex index_;
};

}  // namespace

uint64_t AvmlChunk::end() const { return position + kSnappyChunkHeaderBytes + body_bytes; }

Result<AvmlChunk> NextChunk(const InputFile& file, ReadAhead& ahead, uint64_t position) {
  for (;;) {
    int failure = 0;
    const auto bytes = ahead.At(file, position, kPeekBytes, failure);
    if (failure != 0) return SystemError("read at " + Hex(position), -failure);
    if (bytes.size() < kSnappyChunkHeaderBytes) return Damaged(position, "the file ends");
    const SnappyChunkHeader header =
        DecodeSnappyChunkHeader(bytes.first<kSnappyChunkHeaderBytes>());
    AvmlChunk chunk{.position = position, .type = header.type, .body_bytes = header.bytes};
    if (chunk.end() > file.bytes) return Damaged(position, "the file ends within a chunk");
    if (header.type <= kSnappyUncompressed) {
      const auto body = bytes.subspan(kSnappyChunkHeaderBytes);
      KCD_ASSIGN(chunk.content_bytes,
                 ContentBytes(header, position,
                              body.subspan(std::min(body.size(), kSnappyChecksumBytes))));
      if (chunk.content_bytes != 0) return chunk;
    } else if (header.type <= kSnappyLastReserved) {
      return Damaged(position, "a chunk of an unknown kind");
    }
    position = chunk.end();
  }
}

Result<ChunkIndex> IndexChunks(const InputFile& file) { return StreamWalk(file).Run(); }

}  // namespace kcoredump
