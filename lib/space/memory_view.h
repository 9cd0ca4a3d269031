// SPDX-License-Identifier: MIT
//
// One address space as parsers see it: bytes at an address, or an error that says which byte is
// missing. Everything that reads kernel structures takes one of these, so that it can be tested on
// a few bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

#include "base/try.h"
#include "kcoredump/result.h"

namespace kcoredump {

/// The smallest page of any kernel: where pages are larger, a hole takes more steps.
inline constexpr uint64_t kSmallestPageBytes = 4096;

/// For one thread.
class MemoryView {
 public:
  virtual ~MemoryView() = default;

  /// Fills all of `out`, which must be good memory of the caller's. kUnreadable with the address
  /// that is missing, and why; `out` is then undefined.
  [[nodiscard]] virtual Status Read(uint64_t address, std::span<std::byte> out) = 0;

  template <typename T>
  requires std::is_trivially_copyable_v<T>
  [[nodiscard]] Result<T> ReadValue(uint64_t address) {
    T value{};
    KCD_TRY(Read(address, std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }

  /// Up to the first NUL, or `max_bytes` without one. Unreadable memory after some bytes, on
  /// another page, is an error all the same.
  [[nodiscard]] Result<std::string> ReadString(uint64_t address, size_t max_bytes);
};

}  // namespace kcoredump
