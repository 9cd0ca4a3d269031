// SPDX-License-Identifier: MIT
//
// Batches that were read before their turn, kept on the disk beside the output until it comes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "base/write_behind.h"
#include "capture/pipeline.h"

namespace kcoredump {

/// For one thread.
class BatchSpool {
 public:
  /// A file without a name in the folder of `output`, gone with the process.
  [[nodiscard]] static Result<BatchSpool> Create(const std::string& output);

  /// The slot's batch; must have no error.
  [[nodiscard]] Status Add(const Slot& slot);
  [[nodiscard]] bool Has(uint64_t index) const { return kept_.count(index) != 0; }
  /// Fills `slot`, whose buffer holds the encoding's BatchBound, and forgets the batch.
  [[nodiscard]] Status Take(uint64_t index, Slot& slot);

  /// Of the image, in the batches that are held.
  [[nodiscard]] uint64_t plain_bytes() const { return plain_bytes_; }

 private:
  explicit BatchSpool(UniqueFd fd) : fd_(std::move(fd)) {}

  struct Kept {
    uint64_t offset = 0;
    Slot slot;  ///< without its bytes
  };
  UniqueFd fd_;
  WriteBehind write_behind_;
  uint64_t end_ = 0;
  uint64_t plain_bytes_ = 0;
  std::map<uint64_t, Kept> kept_;
};

}  // namespace kcoredump
