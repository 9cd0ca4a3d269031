// SPDX-License-Identifier: MIT
#include "support/test_bytes.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace kcoredump::test {

std::byte MemoryByte(uint64_t at) { return MemoryBytes(at, 1)[0]; }

Bytes MemoryBytes(uint64_t at, size_t count) {
  Bytes bytes;
  bytes.reserve(count);
  while (bytes.size() < count) {
    std::array<char, 17> line{};
    std::snprintf(line.data(), line.size(), "%015llx|",
                  static_cast<unsigned long long>((at / kPage) & 0xfffffffffffffff));
    const size_t inside = at % 16;
    const size_t step = std::min<size_t>(16 - inside, count - bytes.size());
    for (size_t i = 0; i < step; ++i) bytes.push_back(static_cast<std::byte>(line.at(inside + i)));
    at += step;
  }
  return bytes;
}

Bytes ToBytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string ToText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool AllZero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

Bytes RandomBytes(size_t count, uint64_t seed) {
  Random random(seed);
  Bytes bytes(count);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random.Next() >> 56);
  return bytes;
}

void Append(Bytes& out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

Bytes Joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) Append(all, part);
  return all;
}

}  // namespace kcoredump::test
