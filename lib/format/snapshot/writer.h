// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "format/image_writer.h"

namespace kcoredump {

/// Appends compressed frames, then trailer and seek table, without seeking. Keeps 16 bytes a frame.
/// For one thread.
class SnapshotWriter : public ImageWriter {
 public:
  /// `sink` must outlive the writer; `expected_frames` only reserves memory.
  SnapshotWriter(ByteSink* sink, uint64_t expected_frames);

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

 private:
  struct Record {
    uint32_t compressed_bytes;
    uint32_t checksum;
    uint32_t milliseconds;
    uint32_t content_and_zeros;  ///< content bytes are below 2^21, zero pages at most 256
  };
  static_assert(sizeof(Record) == 16);
  static constexpr unsigned kContentBits = 21;

  [[nodiscard]] Status AppendFrame(std::span<const std::byte> frame, const EncodedPiece& piece,
                                   uint32_t milliseconds);
  [[nodiscard]] static uint32_t ContentBytes(const Record& record);
  template <typename T, typename Make, typename Use>
  [[nodiscard]] Status InSteps(Make make, Use use) const;

  ByteSink* sink_;
  std::vector<Record> records_;
  uint64_t plain_bytes_ = 0;
  uint64_t compressed_bytes_ = 0;
};

extern const FormatWriting kSnapshotWriting;

}  // namespace kcoredump
