// SPDX-License-Identifier: MIT
//
// A copy of one object in memory, with the holes that could not be read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/range.h"
#include "kcoredump/print.h"
#include "space/memory_view.h"

namespace kcoredump {

/// Immutable.
class ObjectBytes {
 public:
  /// Reads all at once where it can, and page by page around what is missing. Allocates `bytes`.
  [[nodiscard]] static ObjectBytes Read(MemoryView& memory, uint64_t address, uint64_t bytes);

  /// kNotRead: not all of them are among the object's bytes.
  [[nodiscard]] ValueState StateOf(uint64_t offset, uint64_t count) const;
  /// Only where the state is kRead.
  [[nodiscard]] std::span<const std::byte> At(uint64_t offset, uint64_t count) const {
    return std::span(bytes_).subspan(offset, count);
  }

  /// By offset, sorted. Empty: all was read.
  [[nodiscard]] const std::vector<Range>& holes() const { return holes_; }
  /// Why the first hole is one.
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  std::vector<std::byte> bytes_;
  std::vector<Range> holes_;
  std::string reason_;
};

}  // namespace kcoredump
