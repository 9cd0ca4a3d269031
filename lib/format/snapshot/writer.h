// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "format/image_writer.h"
#include "format/snapshot/base.h"

namespace kcoredump {

/// Appends compressed frames, then trailer and seek table, without seeking. Keeps 16 bytes a frame,
/// 48 with hashes. For one thread.
class SnapshotWriter : public ImageWriter {
 public:
  /// `sink` must outlive the writer; `expected_frames` only reserves memory. `hashes`: the pieces
  /// have theirs. `base`: of an incremental snapshot, or nullptr.
  SnapshotWriter(ByteSink* sink, uint64_t expected_frames, bool hashes = false,
                 std::shared_ptr<const SnapshotBase> base = nullptr);

  /// Of an incremental snapshot, which base it has.
  Status Begin() override;
  /// Each piece is one zstd frame with its checksum.
  Status Append(const EncodedBatch& batch) override;
  /// Drops the newest frames until trailer and seek table have room where the file ends now.
  /// kUnsupported for pipes, kLimitExceeded when no frame is left.
  Status MakeRoom(uint64_t tail_bytes) override;
  /// Writes trailer (its frame_ms are the writer's own) and seek table, and flushes.
  Status Finish(const Trailer& trailer) override;

  uint64_t plain_bytes() const override { return plain_bytes_; }
  uint64_t written_bytes() const override { return compressed_bytes_; }
  uint64_t zero_pages() const override;
  ReferenceCounts references() const override;

 private:
  struct Record {
    uint32_t compressed_bytes;
    uint32_t checksum;
    uint32_t milliseconds;
    /// Content bytes are below 2^21, zero pages at most 256; the top bit: a reference.
    uint32_t content_and_zeros;
  };
  static_assert(sizeof(Record) == 16);
  static constexpr unsigned kContentBits = 21;
  static constexpr uint32_t kZerosMask = 0x3ff;
  static constexpr uint32_t kReferenceBit = uint32_t{1} << 31;

  [[nodiscard]] Status AppendFrame(std::span<const std::byte> frame, const EncodedPiece& piece,
                                   uint32_t milliseconds);
  [[nodiscard]] static uint32_t ContentBytes(const Record& record);
  [[nodiscard]] Result<uint64_t> WriteTrailer(const Trailer& trailer, uint64_t entries_digest);
  [[nodiscard]] uint64_t FrameTrailerBytes() const;
  [[nodiscard]] std::vector<std::byte> TrailerOfBase() const;
  template <typename T, typename Make, typename Use>
  [[nodiscard]] Status InSteps(Make make, Use use) const;

  ByteSink* sink_;
  bool with_hashes_;
  std::shared_ptr<const SnapshotBase> base_;
  std::vector<Record> records_;
  std::vector<Hash256> hashes_;
  uint64_t plain_bytes_ = 0;
  uint64_t compressed_bytes_ = 0;
};

extern const FormatWriting kSnapshotWriting;

}  // namespace kcoredump
