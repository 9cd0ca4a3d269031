// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "base/unique_fd.h"
#include "kcoredump/result.h"

namespace kcoredump {

/// Reads a file around the page cache, which a live capture must leave as it found it: by O_DIRECT
/// where the file system has it, else what was read is dropped. For one thread.
class UncachedReader {
 public:
  /// `fd`, a regular file, must stay open.
  explicit UncachedReader(int fd);

  /// As PreadExactly.
  [[nodiscard]] Status ReadExactly(std::span<std::byte> out, uint64_t offset);
  [[nodiscard]] bool is_direct() const { return direct_.valid(); }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  [[nodiscard]] bool ReadDirect(std::span<std::byte> out, uint64_t offset);

  int fd_;
  UniqueFd direct_;  ///< the same file with O_DIRECT
  std::unique_ptr<std::byte, Free> block_;
  uint64_t block_bytes_ = 0;
};

}  // namespace kcoredump
