// SPDX-License-Identifier: MIT
//
// Letters of 5 by 7 pixels, those that a map's legend is made of.
#pragma once

#include <array>
#include <cstdint>

namespace kcoredump {

inline constexpr uint32_t kGlyphWidth = 5;
inline constexpr uint32_t kGlyphHeight = 7;

/// Rows from the top, each with its leftmost pixel in bit 4. Blank for what has no glyph.
using Glyph = std::array<uint8_t, kGlyphHeight>;
[[nodiscard]] Glyph GlyphOf(char c);

}  // namespace kcoredump
