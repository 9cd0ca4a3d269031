// SPDX-License-Identifier: MIT
//
// A bounds-checked cursor over hostile bytes, and its counterpart for writing. Little-endian.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace kcoredump {

static_assert(std::endian::native == std::endian::little, "kcoredump runs on little-endian hosts");

/// Reads forward and never past the end; after the first failure every read fails.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename T>
  requires std::is_trivially_copyable_v<T>
  [[nodiscard]] std::optional<T> Read() {
    auto raw = Take(sizeof(T));
    if (!raw) return std::nullopt;
    T value;
    std::memcpy(&value, raw->data(), sizeof(T));
    return value;
  }

  [[nodiscard]] std::optional<std::span<const std::byte>> Take(uint64_t count) {
    if (count > bytes_.size()) {
      bytes_ = {};
      return std::nullopt;
    }
    auto taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }

  [[nodiscard]] size_t remaining() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
};

class ByteWriter {
 public:
  template <typename T>
  requires std::is_trivially_copyable_v<T>
  void Write(const T& value) { Append(std::as_bytes(std::span(&value, 1))); }
  void Append(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void Append(std::string_view text) { Append(std::as_bytes(std::span(text))); }
  /// Zeros up to the next multiple of `alignment`, a power of two.
  void PadTo(size_t alignment) {
    bytes_.resize((bytes_.size() + alignment - 1) & ~(alignment - 1));
  }

  [[nodiscard]] std::vector<std::byte>& bytes() { return bytes_; }
  [[nodiscard]] size_t size() const { return bytes_.size(); }

 private:
  std::vector<std::byte> bytes_;
};

[[nodiscard]] inline std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace kcoredump
