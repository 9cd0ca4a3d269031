// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>

#include <cstdint>

namespace kcoredump {

/// Keeps what is written to a file out of the page cache, as far as that goes without O_DIRECT:
/// starts writing new bytes back, and drops those that had time to get to the disk.
class WriteBehind {
 public:
  /// `written_bytes`: how far the file goes now; it grows without gaps.
  void Advance(int fd, uint64_t written_bytes) {
    const auto start = static_cast<off_t>(dropped_bytes_);
    if (written_bytes - started_bytes_ >= kStartBytes) {
      sync_file_range(fd, start, 0, SYNC_FILE_RANGE_WRITE);
      started_bytes_ = written_bytes;
    }
    if (written_bytes - dropped_bytes_ < 2 * kDropBytes) return;
    sync_file_range(
        fd, start, kDropBytes,
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    posix_fadvise(fd, start, kDropBytes, POSIX_FADV_DONTNEED);
    dropped_bytes_ += kDropBytes;
  }
  /// The file now ends at `bytes`.
  void Reset(uint64_t bytes) { started_bytes_ = dropped_bytes_ = bytes; }

 private:
  /// Write-back starts in such steps, and what lies that far behind is dropped.
  static constexpr uint64_t kStartBytes = 1 << 20;
  static constexpr uint64_t kDropBytes = 8 << 20;

  uint64_t started_bytes_ = 0;
  uint64_t dropped_bytes_ = 0;
};

}  // namespace kcoredump
