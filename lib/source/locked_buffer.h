// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "kcoredump/result.h"

namespace kcoredump {

/// Private, page-aligned memory, faulted in at once and locked where RLIMIT_MEMLOCK allows: the
/// kernel holds locks while it copies to a destination of /proc/kcore, so it must not fault there.
class LockedBuffer {
 public:
  [[nodiscard]] static Result<LockedBuffer> Create(size_t bytes);
  LockedBuffer(LockedBuffer&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  LockedBuffer& operator=(LockedBuffer&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  LockedBuffer(const LockedBuffer&) = delete;
  LockedBuffer& operator=(const LockedBuffer&) = delete;
  ~LockedBuffer();

  [[nodiscard]] std::span<std::byte> bytes() { return bytes_; }

 private:
  LockedBuffer() = default;
  std::span<std::byte> bytes_;
};

}  // namespace kcoredump
