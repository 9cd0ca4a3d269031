// SPDX-License-Identifier: MIT
//
// The inner loop of the search for bytes: where two of a pattern's bytes stand as they should.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace kcoredump {

/// A byte of memory fits when, under the mask, it is the value.
struct MaskedByte {
  uint8_t value = 0;  ///< no bit outside of `mask`
  uint8_t mask = 0;   ///< 0: anything fits

  [[nodiscard]] bool Fits(uint8_t byte) const { return (byte & mask) == value; }
  bool operator==(const MaskedByte&) const = default;
};

/// Positions looked at by one call.
inline constexpr size_t kScanBytes = 4096;
using ScanMasks = std::array<uint64_t, kScanBytes / 64>;

/// Bit n of the masks: `first` fits the byte n of `first_at`, and `second` that of `second_at`.
/// Reads kScanBytes of each. Returns 0 when there is none. Any thread may call.
using Scanner = uint64_t (*)(const std::byte* first_at, MaskedByte first,
                             const std::byte* second_at, MaskedByte second, ScanMasks& masks);

/// The fastest one of this machine.
[[nodiscard]] Scanner BestScanner();
/// The one that runs on every machine.
[[nodiscard]] uint64_t ScanPortably(const std::byte* first_at, MaskedByte first,
                                    const std::byte* second_at, MaskedByte second,
                                    ScanMasks& masks);

}  // namespace kcoredump
