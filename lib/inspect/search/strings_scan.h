// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace kcoredump {

struct ScannedString {
  uint64_t offset = 0;
  bool wide = false;
  std::string text;
};

/// The strings of a page, appended by offset; wide ones begin at even offsets. `least`: characters.
void ScanStrings(std::span<const std::byte> page, uint64_t least, std::vector<ScannedString>& out);

}  // namespace kcoredump
