// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string_view>

namespace kcoredump {

/// Deeper than any JSON of ours, conversions of conversions with it. What is nested in a file by
/// the million would be copied and printed by as many calls.
inline constexpr size_t kMostJsonLevels = 256;

/// Whether objects and arrays are nested within that, so that the text may be parsed.
[[nodiscard]] constexpr bool IsShallowJson(std::string_view text) {
  size_t levels = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (c == '\\' && in_string) ++i;
    if (in_string) continue;
    if ((c == '{' || c == '[') && ++levels > kMostJsonLevels) return false;
    if ((c == '}' || c == ']') && levels != 0) --levels;
  }
  return true;
}

}  // namespace kcoredump
