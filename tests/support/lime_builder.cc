// SPDX-License-Identifier: MIT
#include "support/lime_builder.h"

#include <algorithm>

#include "support/kdump_builder.h"

namespace kcoredump::test {

namespace {

/// Bit by bit, as the polynomial is written in the standard.
uint32_t SlowCrc32c(std::span<const std::byte> bytes) {
  uint32_t crc = 0xffffffff;
  for (const std::byte byte : bytes) {
    crc ^= static_cast<uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
  }
  return ~crc;
}

}  // namespace

Bytes RangeHeader(uint32_t magic, uint32_t version, uint64_t first, uint64_t last) {
  Bytes out;
  AppendValue(out, magic);
  AppendValue(out, version);
  AppendValue(out, first);
  AppendValue(out, last);
  AppendValue(out, uint64_t{0});
  return out;
}

Bytes LimeRange(uint64_t begin, uint64_t end) {
  Bytes out = RangeHeader(kLimeMagicNumber, 1, begin, end - 1);
  Append(out, MemoryBytes(begin, end - begin));
  return out;
}

Bytes SnappyChunk(uint8_t type, std::span<const std::byte> content,
                  std::span<const std::byte> data) {
  Bytes out;
  const auto length = static_cast<uint32_t>(data.size() + 4);
  AppendValue(out, type | length << 8);
  const uint32_t crc = SlowCrc32c(content);
  AppendValue(out, ((crc >> 15) | (crc << 17)) + 0xa282ead8U);
  Append(out, data);
  return out;
}

Bytes CompressedChunk(std::span<const std::byte> content) {
  return SnappyChunk(0, content, Packed(PageCodec::kSnappy, content));
}

Bytes StreamIdChunk() {
  Bytes out = ToBytes("\xff\x06");
  out.resize(4);
  Append(out, ToBytes("sNaPpY"));
  return out;
}

Bytes AvmlBlockOf(uint64_t begin, uint64_t end, const Bytes& stream) {
  Bytes out = RangeHeader(kAvmlMagicNumber, 2, begin, end - 1);
  Append(out, stream);
  AppendValue(out, uint64_t{stream.size()});
  return out;
}

Bytes AvmlBlock(uint64_t begin, uint64_t end, size_t chunk_bytes) {
  Bytes stream = StreamIdChunk();
  for (uint64_t at = begin; at < end; at += chunk_bytes) {
    Append(stream, CompressedChunk(MemoryBytes(at, std::min<uint64_t>(chunk_bytes, end - at))));
  }
  return AvmlBlockOf(begin, end, stream);
}

}  // namespace kcoredump::test
