// SPDX-License-Identifier: MIT
//
// Pictures of memory as SVG: a path for each kind, so that a million cells stay some kilobytes.
#include <algorithm>
#include <string>

#include "inspect/picture/map_legend.h"
#include "inspect/picture/markup.h"
#include "kcoredump/map.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr uint32_t kMargin = 12;
constexpr uint32_t kAddressPixels = 160;
constexpr uint32_t kLinePixels = 20;
constexpr uint32_t kLegendPixels = 620;
constexpr uint32_t kRowsOfAddress = 20;  ///< pixels, at least, between two addresses

std::string N(uint64_t value) { return std::to_string(value); }

/// All cells that show `kind`, a rectangle for each run in a row.
std::string PathOf(const MemoryMapPicture& picture, size_t kind) {
  std::string path;
  for (size_t first = 0; first < picture.cells.size();) {
    const size_t row_end =
        std::min<size_t>((first / picture.width + 1) * picture.width, picture.cells.size());
    size_t end = first + 1;
    while (end < row_end && picture.cells[end].kind == picture.cells[first].kind) ++end;
    if (picture.cells[first].kind == kind) {
      path += "M" + N(first % picture.width) + " " + N(first / picture.width) + "h" +
              N(end - first) + "v1h-" + N(end - first) + "z";
    }
    first = end;
  }
  return path;
}

std::string Cells(const MemoryMapPicture& picture, uint32_t cell) {
  std::string out = "<g transform=\"translate(" + N(kAddressPixels) + " " + N(kMargin) +
                    ") scale(" + N(cell) + ")\" shape-rendering=\"crispEdges\">\n";
  for (const LegendLine& line : LegendOf(picture)) {
    const std::string path = PathOf(picture, static_cast<size_t>(line.kind - picture.kinds.data()));
    if (path.empty()) continue;
    out += "<path fill=\"" + HexColour(line.kind->rgb) + "\" d=\"" + path + "\"><title>" +
           MarkupText(line.kind->name + ", " + line.size) + "</title></path>\n";
  }
  return out + "</g>\n";
}

std::string SvgTextAt(uint64_t x, uint64_t y, std::string_view anchor, std::string_view text) {
  return "<text x=\"" + N(x) + "\" y=\"" + N(y) + "\" text-anchor=\"" + std::string(anchor) +
         "\">" + MarkupText(text) + "</text>\n";
}

std::string Addresses(const MemoryMapPicture& picture, uint32_t cell) {
  std::string out;
  const size_t step = (kRowsOfAddress + cell - 1) / cell;
  for (size_t row = 0; row < picture.rows(); row += step) {
    out += SvgTextAt(kAddressPixels - kMargin, kMargin + row * cell + 10, "end",
                     HexAddress(picture.cells[row * picture.width].physical));
  }
  return out;
}

std::string Legend(const MemoryMapPicture& picture, uint64_t top) {
  std::string out;
  uint64_t y = top;
  for (const LegendLine& line : LegendOf(picture)) {
    out += "<rect x=\"" + N(kAddressPixels) + "\" y=\"" + N(y) +
           "\" width=\"14\" height=\"14\" fill=\"" + HexColour(line.kind->rgb) +
           "\" stroke=\"currentColor\" stroke-width=\"0.5\"/>\n";
    out += SvgTextAt(kAddressPixels + 24, y + 12, "start", line.kind->name);
    out += SvgTextAt(kAddressPixels + 260, y + 12, "end", line.size);
    out += SvgTextAt(kAddressPixels + 340, y + 12, "end", line.share);
    y += kLinePixels;
  }
  return out + SvgTextAt(kAddressPixels, y + 14, "start", ScaleText(picture));
}

}  // namespace

std::string ToSvg(const MemoryMapPicture& picture) {
  const uint32_t cell = PixelsOfCell(picture);
  const uint64_t width =
      kAddressPixels + kMargin + std::max<uint64_t>(uint64_t{picture.width} * cell, kLegendPixels);
  const uint64_t legend_top = 2 * kMargin + picture.rows() * cell;
  const uint64_t height = legend_top + (LegendOf(picture).size() + 1) * kLinePixels + kMargin;
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + N(width) + " " + N(height) +
         "\" width=\"" + N(width) + "\" height=\"" + N(height) +
         "\" font-family=\"monospace\" font-size=\"12\" fill=\"currentColor\" role=\"img\">\n"
         "<title>Physical memory by " +
         std::string(MapByName(picture.by)) + "</title>\n" + Cells(picture, cell) +
         Addresses(picture, cell) + Legend(picture, legend_top) + "</svg>\n";
}

}  // namespace kcoredump
