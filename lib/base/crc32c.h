// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace kcoredump {

/// CRC-32C, the Castagnoli polynomial (RFC 3720, appendix B.4).
[[nodiscard]] uint32_t Crc32c(std::span<const std::byte> bytes);

}  // namespace kcoredump
