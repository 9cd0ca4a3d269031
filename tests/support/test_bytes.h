// SPDX-License-Identifier: MIT
//
// Contents that tests can predict from an address alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace kcoredump::test {

using Bytes = std::vector<std::byte>;

inline constexpr uint64_t kPage = 4096;

/// The byte at physical address `at` of every fake memory: text that names its page, so that it
/// compresses well and a misplaced page shows.
[[nodiscard]] std::byte MemoryByte(uint64_t at);
[[nodiscard]] Bytes MemoryBytes(uint64_t at, size_t count);

[[nodiscard]] Bytes ToBytes(std::string_view text);
[[nodiscard]] std::string ToText(std::span<const std::byte> bytes);
[[nodiscard]] bool AllZero(std::span<const std::byte> bytes);

void Append(Bytes& out, std::span<const std::byte> bytes);
template <typename T>
requires std::is_trivially_copyable_v<T>
void AppendValue(Bytes& out, const T& value) { Append(out, std::as_bytes(std::span(&value, 1))); }
[[nodiscard]] Bytes Joined(std::initializer_list<Bytes> parts);

/// xorshift64*: the same numbers for the same seed, on every machine.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed | 1) {}
  uint64_t Next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1DULL;
  }
  uint64_t Below(uint64_t limit) { return limit == 0 ? 0 : Next() % limit; }

 private:
  uint64_t state_;
};

/// Bytes that no compressor makes smaller.
[[nodiscard]] Bytes RandomBytes(size_t count, uint64_t seed);

}  // namespace kcoredump::test
