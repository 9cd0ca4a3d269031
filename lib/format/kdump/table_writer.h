// SPDX-License-Identifier: MIT
//
// The tables of a kdump file, which stand before the pages and are known after them: entries come
// in ascending order and go into their place in pieces, so that no table is held whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/output_file.h"
#include "format/kdump/format.h"

namespace kcoredump {

/// For one thread.
class BitmapWriter {
 public:
  /// The bitmap begins at `offset` of what was written, with all bits 0.
  BitmapWriter(ByteSink* sink, uint64_t offset) : sink_(sink), offset_(offset) {}
  /// `bit` is above all that were set.
  [[nodiscard]] Status Set(uint64_t bit);
  [[nodiscard]] Status Finish();

 private:
  static constexpr size_t kWindowBytes = 64 << 10;

  ByteSink* sink_;
  uint64_t offset_;
  uint64_t window_start_ = 0;  ///< byte of the bitmap
  std::vector<std::byte> window_;
};

/// For one thread.
class DescriptorWriter {
 public:
  DescriptorWriter(ByteSink* sink, uint64_t offset) : sink_(sink), offset_(offset) {}
  [[nodiscard]] Status Add(const PageDescriptor& descriptor);
  [[nodiscard]] Status Finish();

 private:
  static constexpr size_t kMostHeld = 32 << 10;

  ByteSink* sink_;
  uint64_t offset_;
  std::vector<PageDescriptor> held_;
};

}  // namespace kcoredump
