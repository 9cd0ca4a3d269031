// SPDX-License-Identifier: MIT
//
// AVML version 2: LiME's range headers, each followed by a stream in snappy's framing format;
// FORMAT.md beside this file specifies both. Little-endian.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace kcoredump {

inline constexpr uint32_t kAvmlMagic = 0x4c4d5641;  ///< "AVML" in the file
inline constexpr uint32_t kAvmlVersion = 2;
/// AVML cuts ranges into blocks of at most this size, and leaves out those that are all zero.
inline constexpr uint64_t kAvmlBlockBytes = 16 << 20;

// Snappy's framing format.
inline constexpr uint8_t kSnappyCompressed = 0x00;
inline constexpr uint8_t kSnappyUncompressed = 0x01;
inline constexpr uint8_t kSnappyLastReserved = 0x7f;  ///< 0x02 to here must not be passed over
inline constexpr uint8_t kSnappyStreamId = 0xff;
inline constexpr size_t kSnappyChunkHeaderBytes = 4;
inline constexpr size_t kSnappyChecksumBytes = 4;
inline constexpr size_t kMaxSnappyContentBytes = 65536;
/// Chunk header and body of the chunk that begins a stream.
inline constexpr std::array<uint8_t, 10> kSnappyStreamIdChunk = {0xff, 0x06, 0x00, 0x00, 's',
                                                                 'N',  'a',  'P',  'p',  'Y'};

struct SnappyChunkHeader {
  uint8_t type = 0;
  uint32_t bytes = 0;  ///< of the body, the checksum included; 24 bits
};

[[nodiscard]] std::array<std::byte, kSnappyChunkHeaderBytes> EncodeSnappyChunkHeader(
    const SnappyChunkHeader& header);
[[nodiscard]] SnappyChunkHeader DecodeSnappyChunkHeader(
    std::span<const std::byte, kSnappyChunkHeaderBytes> bytes);

/// The checksum of a chunk's content: CRC-32C, rotated and offset.
[[nodiscard]] uint32_t SnappyChecksum(std::span<const std::byte> content);

}  // namespace kcoredump
