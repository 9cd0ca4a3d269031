// SPDX-License-Identifier: MIT
//
// Pictures of memory as text and JSON.
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "inspect/picture/map_legend.h"
#include "kcoredump/map.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr char kUpperHalf[] = "\xe2\x96\x80";  // U+2580, its lower half is the background
constexpr char kResetColours[] = "\x1b[0m";

/// SGR parameters for a colour; `background`: of the cell's lower half.
std::string SgrOf(const MapKind* kind, MapColours colours, bool background) {
  if (kind == nullptr) return background ? "49" : "39";
  if (colours == MapColours::kTrue) {
    return std::string(background ? "48" : "38") + ";2;" + std::to_string(kind->rgb >> 16) + ";" +
           std::to_string(kind->rgb >> 8 & 0xff) + ";" + std::to_string(kind->rgb & 0xff);
  }
  const unsigned base = (kind->ansi < 8 ? 30U : 82U) + (background ? 10U : 0U);
  return std::to_string(base + kind->ansi);
}

/// nullptr: there is no such cell.
const MapKind* KindAt(const MemoryMapPicture& picture, size_t row, size_t column) {
  const size_t index = row * picture.width + column;
  return index < picture.cells.size() ? &picture.kinds[picture.cells[index].kind] : nullptr;
}

std::string LineOfBlocks(const MemoryMapPicture& picture, size_t row, MapColours colours) {
  std::string line;
  std::string last;
  for (size_t column = 0; column < picture.width; ++column) {
    const MapKind* upper = KindAt(picture, row, column);
    if (upper == nullptr) break;
    const std::string pair =
        SgrOf(upper, colours, false) + ";" + SgrOf(KindAt(picture, row + 1, column), colours, true);
    if (pair != last) line += "\x1b[" + pair + "m";
    line += kUpperHalf;
    last = pair;
  }
  return line + kResetColours;
}

std::string LineOfLetters(const MemoryMapPicture& picture, size_t row) {
  std::string line;
  for (size_t column = 0; column < picture.width; ++column) {
    const MapKind* kind = KindAt(picture, row, column);
    if (kind == nullptr) break;
    line += kind->letter;
  }
  return line;
}

std::string LegendText(const MemoryMapPicture& picture, MapColours colours) {
  std::string text;
  for (const LegendLine& line : LegendOf(picture)) {
    std::array<char, 128> row{};
    std::snprintf(row.data(), row.size(), "  %-16s %10s %7s", line.kind->name.c_str(),
                  line.size.c_str(), line.share.c_str());
    text += "  ";
    if (colours == MapColours::kNone) {
      text += line.kind->letter;
    } else {
      text += "\x1b[" + SgrOf(line.kind, colours, true) + "m  " + kResetColours;
    }
    text += std::string(row.data()) + "\n";
  }
  return text;
}

}  // namespace

std::string ToText(const MemoryMapPicture& picture, MapColours colours) {
  const size_t step = colours == MapColours::kNone ? 1 : 2;
  std::string text;
  for (size_t row = 0; row < picture.rows(); row += step) {
    text += HexAddress(picture.cells[row * picture.width].physical) + "  " +
            (step == 1 ? LineOfLetters(picture, row) : LineOfBlocks(picture, row, colours)) + "\n";
  }
  return text + "\n" + LegendText(picture, colours) + "\n  " + ScaleText(picture) + "\n";
}

std::string ToJson(const MemoryMapPicture& picture) {
  using nlohmann::ordered_json;
  ordered_json json;
  json["by"] = MapByName(picture.by);
  json["page_bytes"] = picture.page_bytes;
  json["width"] = picture.width;
  json["rows"] = picture.rows();
  json["cell_pages"] = picture.cell_pages;
  json["total_pages"] = picture.total_pages;
  json["sampled"] = picture.sampled;
  json["kinds"] = ordered_json::array();
  for (const MapKind& kind : picture.kinds) {
    json["kinds"].push_back({{"name", kind.name},
                             {"letter", std::string(1, kind.letter)},
                             {"colour", HexColour(kind.rgb)},
                             {"pages", kind.pages},
                             {"size_bytes", kind.pages * picture.page_bytes}});
  }
  json["cells"] = ordered_json::array();
  for (const MapCell& cell : picture.cells) {
    ordered_json pages = ordered_json::object();
    for (size_t i = 0; i < cell.kinds.size(); ++i) {
      if (cell.kinds[i] != 0) pages[picture.kinds[i].name] = cell.kinds[i];
    }
    json["cells"].push_back(
        {{"physical", HexAddress(cell.physical)},
         {"pages", cell.pages},
         {"shows", picture.kinds[cell.kind].name},
         {"kinds", std::move(pages)},
         {"entropy", cell.entropy ? ordered_json(*cell.entropy) : ordered_json(nullptr)}});
  }
  json["notes"] = picture.findings.notes;
  json["incomplete"] = picture.findings.incomplete;
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace kcoredump
