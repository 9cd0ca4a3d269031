// SPDX-License-Identifier: MIT
//
// What the drawings of one picture share.
#pragma once

#include <string>
#include <vector>

#include "kcoredump/map.h"

namespace kcoredump {

/// A kind that some pages are of.
struct LegendLine {
  const MapKind* kind = nullptr;  ///< of the picture
  std::string size;               ///< "1.2 GiB"
  std::string share;              ///< "12.3 %", of all RAM
};
[[nodiscard]] std::vector<LegendLine> LegendOf(const MemoryMapPicture& picture);

/// "a cell is 1.4 MiB (342 pages), 4.0 GiB of RAM; …"
[[nodiscard]] std::string ScaleText(const MemoryMapPicture& picture);

/// "#rrggbb"
[[nodiscard]] std::string HexColour(uint32_t rgb);

/// Pixels a side of a cell, so that a drawing is about 1024 pixels wide.
[[nodiscard]] uint32_t PixelsOfCell(const MemoryMapPicture& picture);

}  // namespace kcoredump
