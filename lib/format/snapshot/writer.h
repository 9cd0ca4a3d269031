// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/output_file.h"
#include "format/snapshot/format.h"

namespace kcoredump {

/// Appends compressed frames, then trailer and seek table, without seeking. Keeps 16 bytes a frame.
/// For one thread.
class SnapshotWriter {
 public:
  /// `sink` must outlive the writer; `expected_frames` only reserves memory.
  SnapshotWriter(ByteSink* sink, uint64_t expected_frames);

  /// `frame`: one zstd frame with its checksum. `zero_pages`: how many of its pages are memory that
  /// was read and is all zero. `milliseconds` since the capture's start.
  [[nodiscard]] Status Append(std::span<const std::byte> frame, uint32_t content_bytes,
                              uint32_t milliseconds, uint32_t zero_pages);

  [[nodiscard]] uint64_t plain_bytes() const { return plain_bytes_; }
  [[nodiscard]] uint64_t compressed_bytes() const { return compressed_bytes_; }
  [[nodiscard]] uint64_t zero_pages() const;

  /// Drops the newest frames until trailer and seek table (with `tail_bytes` to spare) have room
  /// where the file ends now: what to do when the disk is full. At least one frame goes at each
  /// call. kUnsupported for pipes, kLimitExceeded when no frame is left.
  [[nodiscard]] Status MakeRoom(uint64_t tail_bytes);

  /// Writes trailer (its frame_ms are the writer's own) and seek table, and flushes.
  [[nodiscard]] Status Finish(const Trailer& trailer);

 private:
  struct Record {
    uint32_t compressed_bytes;
    uint32_t checksum;
    uint32_t milliseconds;
    uint32_t content_and_zeros;  ///< content bytes are below 2^21, zero pages at most 256
  };
  static_assert(sizeof(Record) == 16);
  static constexpr unsigned kContentBits = 21;

  [[nodiscard]] static uint32_t ContentBytes(const Record& record);
  template <typename T, typename Make, typename Use>
  [[nodiscard]] Status InSteps(Make make, Use use) const;

  ByteSink* sink_;
  std::vector<Record> records_;
  uint64_t plain_bytes_ = 0;
  uint64_t compressed_bytes_ = 0;
};

}  // namespace kcoredump
