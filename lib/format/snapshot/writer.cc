// SPDX-License-Identifier: MIT
#include "format/snapshot/writer.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/bytes.h"
#include "base/error.h"
#include "base/try.h"
#include "format/codec.h"
#include "format/snapshot/encoder.h"

namespace kcoredump {

SnapshotWriter::SnapshotWriter(ByteSink* sink, uint64_t expected_frames, bool hashes,
                               std::shared_ptr<const SnapshotBase> base)
    : sink_(sink), with_hashes_(hashes), base_(std::move(base)) {
  // Growing step by step would hold them twice. Memory that is never touched costs nothing, and
  // where a forged header promises more frames than there are addresses, there will not be as many.
  try {
    records_.reserve(std::min(expected_frames, kMaxFrames));
    if (hashes) hashes_.reserve(std::min(expected_frames, kMaxHashedFrames));
  } catch (const std::bad_alloc&) {
    records_.shrink_to_fit();
  }
}

Status SnapshotWriter::Begin() {
  if (base_ == nullptr) return {};
  KCD_TRY(sink_->Write(base_->head()));
  compressed_bytes_ = base_->head().size();
  return {};
}

uint32_t SnapshotWriter::ContentBytes(const Record& record) {
  return record.content_and_zeros & ((uint32_t{1} << kContentBits) - 1);
}

Status SnapshotWriter::Append(const EncodedBatch& batch) {
  size_t at = 0;
  for (const EncodedPiece& piece : batch.pieces) {
    std::span<const std::byte> frame(batch.bytes.get() + at, piece.encoded_bytes);
    at += piece.encoded_bytes;
    Hash256 hash;
    const bool hashed = (piece.flags & kHashedPiece) != 0;
    if (hashed) {
      std::memcpy(hash.data(), frame.last(hash.size()).data(), hash.size());
      frame = frame.first(frame.size() - hash.size());
    }
    KCD_TRY(AppendFrame(frame, piece, batch.milliseconds));
    if (hashed) hashes_.push_back(hash);
  }
  return {};
}

Status SnapshotWriter::AppendFrame(std::span<const std::byte> frame, const EncodedPiece& piece,
                                   uint32_t milliseconds) {
  KCD_TRY(sink_->Write(frame));
  records_.push_back(
      {.compressed_bytes = static_cast<uint32_t>(frame.size()),
       .checksum = StoredChecksum(frame),
       .milliseconds = milliseconds,
       .content_and_zeros = piece.content_bytes | (piece.zero_pages << kContentBits) |
                            ((piece.flags & kReferencePiece) != 0 ? kReferenceBit : 0)});
  plain_bytes_ += piece.content_bytes;
  compressed_bytes_ += frame.size();
  return {};
}

uint64_t SnapshotWriter::zero_pages() const {
  uint64_t pages = 0;
  for (const Record& record : records_) {
    pages += (record.content_and_zeros >> kContentBits) & kZerosMask;
  }
  return pages;
}

ReferenceCounts SnapshotWriter::references() const {
  ReferenceCounts counts;
  for (const Record& record : records_) {
    if ((record.content_and_zeros & kReferenceBit) == 0) continue;
    ++counts.frames;
    counts.content_bytes += ContentBytes(record);
  }
  return counts;
}

Status SnapshotWriter::MakeRoom(uint64_t tail_bytes) {
  const uint64_t file_end = sink_->taken_bytes();
  const auto fits = [&] {
    const uint64_t per_frame = kSeekTableEntryBytes + FrameTrailerBytes();
    return compressed_bytes_ + records_.size() * per_frame + tail_bytes <= file_end;
  };
  bool dropped = false;
  while (!records_.empty() && (!dropped || !fits())) {
    plain_bytes_ -= ContentBytes(records_.back());
    compressed_bytes_ -= records_.back().compressed_bytes;
    records_.pop_back();
    if (with_hashes_) hashes_.pop_back();
    dropped = true;
  }
  if (records_.empty()) {
    return MakeError(ErrorCode::kLimitExceeded, "there is no room for even one frame");
  }
  return sink_->Rewind(compressed_bytes_);
}

/// Calls `use(span)` with values made from the records, a few thousand at a time: a table for a
/// terabyte of memory would double what the writer keeps.
template <typename T, typename Make, typename Use>
Status SnapshotWriter::InSteps(Make make, Use use) const {
  static constexpr size_t kStep = 4096;
  std::vector<T> values;
  for (size_t at = 0; at < records_.size(); at += kStep) {
    values.clear();
    const size_t end = std::min(records_.size(), at + kStep);
    for (size_t i = at; i < end; ++i) values.push_back(make(records_[i]));
    KCD_TRY(use(std::as_bytes(std::span<const T>(values))));
  }
  return {};
}

uint64_t SnapshotWriter::FrameTrailerBytes() const {
  return sizeof(uint32_t) + (with_hashes_ ? sizeof(Hash256) : 0);
}

/// What an incremental snapshot's trailer has besides.
std::vector<std::byte> SnapshotWriter::TrailerOfBase() const {
  ByteWriter out;
  if (base_ != nullptr) {
    out.Write(base_->id());
    out.Write(static_cast<uint32_t>(references().frames));
  }
  return std::move(out.bytes());
}

/// Returns its length.
Result<uint64_t> SnapshotWriter::WriteTrailer(const Trailer& trailer, uint64_t entries_digest) {
  StreamHash64 trailer_hash;
  const auto write_hashed = [&](std::span<const std::byte> bytes) {
    trailer_hash.Add(bytes);
    return sink_->Write(bytes);
  };
  const uint32_t flags =
      (with_hashes_ ? kFlagHashes : 0) | (base_ != nullptr ? kFlagIncremental : 0);
  const std::vector<std::byte> head =
      EncodeTrailerHead(trailer, static_cast<uint32_t>(records_.size()), flags);
  const std::vector<std::byte> of_base = TrailerOfBase();
  const uint64_t trailer_bytes =
      head.size() + records_.size() * FrameTrailerBytes() + of_base.size() + 2 * sizeof(uint64_t);
  KCD_TRY(sink_->Write(EncodeSkippableHeader(kTrailerFrameMagic, trailer_bytes)));
  KCD_TRY(write_hashed(head));
  KCD_TRY(
      InSteps<uint32_t>([](const Record& record) { return record.milliseconds; }, write_hashed));
  KCD_TRY(write_hashed(std::as_bytes(std::span(hashes_))));
  KCD_TRY(write_hashed(of_base));
  KCD_TRY(write_hashed(std::as_bytes(std::span(&entries_digest, 1))));
  const uint64_t trailer_digest = trailer_hash.Digest();
  KCD_TRY(sink_->Write(std::as_bytes(std::span(&trailer_digest, 1))));
  return kSkippableHeaderBytes + trailer_bytes;
}

Status SnapshotWriter::Finish(const Trailer& trailer) {
  const auto frames = static_cast<uint32_t>(records_.size());
  const auto entry = [](const Record& record) {
    return SeekEntry{.compressed_bytes = record.compressed_bytes,
                     .content_bytes = ContentBytes(record),
                     .checksum = record.checksum};
  };
  const auto write = [&](std::span<const std::byte> bytes) { return sink_->Write(bytes); };
  StreamHash64 entries_hash;
  KCD_TRY(InSteps<SeekEntry>(entry, [&](std::span<const std::byte> bytes) -> Status {
    entries_hash.Add(bytes);
    return {};
  }));
  KCD_ASSIGN(const uint64_t trailer_bytes, WriteTrailer(trailer, entries_hash.Digest()));
  const uint64_t table_bytes = frames * kSeekTableEntryBytes + kSeekTableFooterBytes;
  KCD_TRY(write(EncodeSkippableHeader(kSeekTableFrameMagic, table_bytes)));
  KCD_TRY(InSteps<SeekEntry>(entry, write));
  KCD_TRY(write(EncodeSeekTableFooter(frames)));
  KCD_TRY(sink_->Flush());
  compressed_bytes_ += trailer_bytes + kSkippableHeaderBytes + table_bytes;
  return {};
}

const FormatWriting kSnapshotWriting = {
    .suffix = ".elf.zst",
    .streams = true,
    .holds_notes = true,
    .holds_outcomes = true,
    .encoding =
        [](const WriteRequest& request) {
          return MakeSnapshotEncoding({.level = request.level,
                                       .frame_bytes = request.frame_bytes,
                                       .hashes = request.hashes,
                                       .base = request.base});
        },
    .writer = [](const WriteRequest& request, ByteSink* sink) -> std::unique_ptr<ImageWriter> {
      return std::make_unique<SnapshotWriter>(sink, request.image_frames, request.hashes,
                                              request.base);
    }};

}  // namespace kcoredump
