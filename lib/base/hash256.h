// SPDX-License-Identifier: MIT
//
// The only place that sees libcrypto.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>

namespace kcoredump {

using Hash256 = std::array<std::byte, 32>;

/// 64 lower-case digits.
[[nodiscard]] std::string ToHex(const Hash256& hash);

/// SHA-256 (FIPS 180-4).
[[nodiscard]] Hash256 Sha256(std::span<const std::byte> bytes);

}  // namespace kcoredump
