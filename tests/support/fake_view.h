// SPDX-License-Identifier: MIT
//
// An address space of a few bytes; all else is unreadable.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "kcoredump/text.h"
#include "space/memory_view.h"

namespace kcoredump::test {

class FakeView : public MemoryView {
 public:
  void Put(uint64_t address, std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) bytes_[address++] = byte;
  }
  void Put(uint64_t address, std::string_view text) {
    Put(address, std::as_bytes(std::span(text.data(), text.size())));
  }
  template <typename T>
  requires std::is_arithmetic_v<T>
  void PutValue(uint64_t address, T value) { Put(address, std::as_bytes(std::span(&value, 1))); }
  /// Unreadable from now on.
  void Remove(uint64_t address, uint64_t count) {
    bytes_.erase(bytes_.lower_bound(address), bytes_.lower_bound(address + count));
  }

  Status Read(uint64_t address, std::span<std::byte> out) override {
    ++reads;
    auto at = bytes_.find(address);
    for (size_t i = 0; i < out.size(); ++i, ++at) {
      if (at == bytes_.end() || at->first != address + i) {
        Error error =
            MakeError(ErrorCode::kUnreadable, HexAddress(address + i) + " is not in the fake");
        error.address = address + i;
        return error;
      }
      out[i] = at->second;
    }
    if (on_read) on_read(address);
    return {};
  }

  size_t reads = 0;
  std::function<void(uint64_t address)> on_read;  ///< after each: memory of a live kernel changes

 private:
  std::map<uint64_t, std::byte> bytes_;
};

}  // namespace kcoredump::test
