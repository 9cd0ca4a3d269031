// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "format/input_file.h"

namespace kcoredump {

/// The bytes of a file around where it was last read, for what is small and stands one after
/// another. For one thread.
class ReadAhead {
 public:
  /// `bytes` bytes at `offset`, or fewer at the file's end; valid until the next call. `failure` is
  /// 0 or −errno. `file` must outlive this.
  [[nodiscard]] std::span<const std::byte> At(const InputFile& file, uint64_t offset, size_t bytes,
                                              int& failure);

 private:
  const InputFile* file_ = nullptr;
  uint64_t begin_ = 0;
  std::vector<std::byte> bytes_;
};

}  // namespace kcoredump
