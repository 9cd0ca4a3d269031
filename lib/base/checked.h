// SPDX-License-Identifier: MIT
//
// Arithmetic on numbers that came from input: an overflow is a value, not undefined behaviour.
#pragma once

#include <cstdint>
#include <optional>

namespace kcoredump {

[[nodiscard]] constexpr std::optional<uint64_t> CheckedAdd(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

[[nodiscard]] constexpr std::optional<uint64_t> CheckedMultiply(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// `alignment` is a power of two; `value` must be at least that far from the top of its range.
[[nodiscard]] constexpr uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

[[nodiscard]] constexpr uint64_t AlignDown(uint64_t value, uint64_t alignment) {
  return value & ~(alignment - 1);
}

}  // namespace kcoredump
