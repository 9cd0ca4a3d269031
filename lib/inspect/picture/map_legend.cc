// SPDX-License-Identifier: MIT
#include "inspect/picture/map_legend.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "inspect/table.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr uint32_t kDrawingPixels = 1024;
constexpr uint32_t kLargestCell = 16;

}  // namespace

std::vector<LegendLine> LegendOf(const MemoryMapPicture& picture) {
  std::vector<LegendLine> lines;
  for (const MapKind& kind : picture.kinds) {
    if (kind.pages == 0) continue;
    lines.push_back({.kind = &kind,
                     .size = HumanBytes(kind.pages * picture.page_bytes),
                     .share = Percent(kind.pages, picture.total_pages)});
  }
  return lines;
}

std::string ScaleText(const MemoryMapPicture& picture) {
  std::string text = "a cell is " + HumanBytes(picture.cell_pages * picture.page_bytes) + " (" +
                     Grouped(picture.cell_pages) +
                     (picture.cell_pages == 1 ? " page), " : " pages), ") +
                     HumanBytes(picture.total_pages * picture.page_bytes) + " of RAM";
  const bool has_holes =
      std::any_of(picture.kinds.begin(), picture.kinds.end(),
                  [](const MapKind& kind) { return kind.wins && kind.pages != 0; });
  if (has_holes) text += "; a cell with a hole shows the hole";
  return text;
}

std::string HexColour(uint32_t rgb) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "#%06x", rgb & 0xffffff);
  return text.data();
}

uint32_t PixelsOfCell(const MemoryMapPicture& picture) {
  return std::clamp(kDrawingPixels / std::max(picture.width, 1U), 1U, kLargestCell);
}

}  // namespace kcoredump
