// SPDX-License-Identifier: MIT
//
// LiME and AVML files byte by byte, from their public layouts.
#pragma once

#include <cstdint>

#include "support/test_bytes.h"

namespace kcoredump::test {

inline constexpr uint32_t kLimeMagicNumber = 0x4c694d45;
inline constexpr uint32_t kAvmlMagicNumber = 0x4c4d5641;

/// A range header; `last` is inclusive.
[[nodiscard]] Bytes RangeHeader(uint32_t magic, uint32_t version, uint64_t first, uint64_t last);

/// A LiME range of [begin, end) with the bytes that follow from its addresses (MemoryBytes).
[[nodiscard]] Bytes LimeRange(uint64_t begin, uint64_t end);

/// A chunk of snappy's framing format: type, length, masked checksum of `content`, `data`.
[[nodiscard]] Bytes SnappyChunk(uint8_t type, std::span<const std::byte> content,
                                std::span<const std::byte> data);
/// The same, compressed.
[[nodiscard]] Bytes CompressedChunk(std::span<const std::byte> content);
[[nodiscard]] Bytes StreamIdChunk();

/// Header, `stream` and the length that AVML puts after it.
[[nodiscard]] Bytes AvmlBlockOf(uint64_t begin, uint64_t end, const Bytes& stream);
/// An AVML block of [begin, end), MemoryBytes in chunks of `chunk_bytes`.
[[nodiscard]] Bytes AvmlBlock(uint64_t begin, uint64_t end, size_t chunk_bytes = 65536);

}  // namespace kcoredump::test
