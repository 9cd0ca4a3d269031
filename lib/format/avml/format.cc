// SPDX-License-Identifier: MIT
#include "format/avml/format.h"

#include <bit>
#include <cstring>

#include "base/crc32c.h"

namespace kcoredump {

std::array<std::byte, kSnappyChunkHeaderBytes> EncodeSnappyChunkHeader(
    const SnappyChunkHeader& header) {
  return std::bit_cast<std::array<std::byte, kSnappyChunkHeaderBytes>>(header.type | header.bytes
                                                                                         << 8);
}

SnappyChunkHeader DecodeSnappyChunkHeader(
    std::span<const std::byte, kSnappyChunkHeaderBytes> bytes) {
  uint32_t word = 0;
  std::memcpy(&word, bytes.data(), sizeof(word));
  return {.type = static_cast<uint8_t>(word), .bytes = word >> 8};
}

uint32_t SnappyChecksum(std::span<const std::byte> content) {
  static constexpr uint32_t kMaskDelta = 0xa282ead8;
  return std::rotr(Crc32c(content), 15) + kMaskDelta;
}

}  // namespace kcoredump
