// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>

namespace kcoredump {

/// Whether all bytes are zero: memcmp against themselves, shifted, for the C library's is the
/// widest vector loop there is.
[[nodiscard]] inline bool IsZero(std::span<const std::byte> bytes) {
  static constexpr size_t kSeed = 64;
  static constexpr std::array<std::byte, kSeed> kZeros{};
  const size_t seed = std::min(bytes.size(), kSeed);
  if (std::memcmp(bytes.data(), kZeros.data(), seed) != 0) return false;
  return bytes.size() <= kSeed ||
         std::memcmp(bytes.data(), bytes.data() + kSeed, bytes.size() - kSeed) == 0;
}

}  // namespace kcoredump
