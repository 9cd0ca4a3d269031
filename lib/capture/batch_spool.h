// SPDX-License-Identifier: MIT
//
// Batches that were read before their turn, kept on the disk beside the output until it comes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "base/write_behind.h"
#include "capture/pipeline.h"

namespace kcoredump {

/// For one thread.
class BatchSpool {
 public:
  /// A file without a name in the folder of `output`, gone with the spool.
  [[nodiscard]] static Result<BatchSpool> Create(const std::string& output);

  /// The slot's batch, which must have no error.
  [[nodiscard]] Status Add(const Slot& slot);
  /// The lowest number of those that are held.
  [[nodiscard]] std::optional<uint64_t> First() const;
  /// Moves the batch of that number into `slot`, whose buffer holds the encoding's BatchBound, and
  /// gives its room on the disk back.
  [[nodiscard]] Status Take(uint64_t index, Slot& slot);

  /// Of the image, in the batches that are held.
  [[nodiscard]] uint64_t plain_bytes() const { return plain_bytes_; }

 private:
  explicit BatchSpool(UniqueFd fd) : fd_(std::move(fd)) {}

  /// In the file: the encoded bytes, then the pieces.
  struct Kept {
    uint64_t offset = 0;
    uint64_t encoded_bytes = 0;
    uint64_t content_bytes = 0;
    uint32_t pieces = 0;
    uint32_t milliseconds = 0;
    uint64_t moves = 0;
    PhysAddr phys;
    ReadReport report;
  };
  UniqueFd fd_;
  WriteBehind write_behind_;
  uint64_t end_ = 0;
  uint64_t plain_bytes_ = 0;
  std::map<uint64_t, Kept> kept_;
};

/// In the place of memory that was not read: zeros that mean nothing, unreadable (ECANCELED). Parts
/// of the image's head are whole.
class BlankBatches {
 public:
  /// `plan` and `encoding` must outlive them.
  [[nodiscard]] static Result<BlankBatches> Create(const CapturePlan& plan,
                                                   const ImageEncoding& encoding,
                                                   uint64_t page_bytes);
  /// Fills `slot`, whose buffer holds the encoding's BatchBound.
  [[nodiscard]] Status Make(uint64_t index, Slot& slot);

 private:
  BlankBatches(const CapturePlan& plan, std::unique_ptr<BatchEncoder> encoder, uint64_t page_bytes)
      : plan_(plan), encoder_(std::move(encoder)), page_bytes_(page_bytes) {}

  const CapturePlan& plan_;
  std::unique_ptr<BatchEncoder> encoder_;
  uint64_t page_bytes_;
  std::vector<std::byte> zeros_;
  std::vector<PageContent> holes_;
};

}  // namespace kcoredump
