// SPDX-License-Identifier: MIT
//
// Pictures of memory as PNG.
#include <png.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "inspect/picture/map_font.h"
#include "inspect/picture/map_legend.h"
#include "kcoredump/map.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr uint32_t kTextScale = 2;
constexpr uint32_t kLetterPixels = (kGlyphWidth + 1) * kTextScale;
constexpr uint32_t kTextLine = 24;
constexpr uint32_t kBorder = 12;
constexpr uint32_t kAddressLetters = 18;
constexpr uint32_t kCellsLeft = 2 * kBorder + kAddressLetters * kLetterPixels;
constexpr uint32_t kLegendLetters = 90;
constexpr uint32_t kPaperRgb = 0xffffff;
constexpr uint32_t kInkRgb = 0x202020;

/// Colours by number: the kinds', paper and ink.
class Raster {
 public:
  Raster(uint32_t width, uint32_t height, uint8_t paper)
      : width_(width), height_(height), pixels_(size_t{width} * height, paper) {}

  void Fill(uint32_t x, uint32_t y, uint32_t width, uint32_t height, uint8_t colour) {
    for (uint32_t row = y; row < std::min(y + height, height_); ++row) {
      const auto begin = pixels_.begin() + static_cast<ptrdiff_t>(size_t{row} * width_);
      std::fill(begin + std::min(x, width_), begin + std::min(x + width, width_), colour);
    }
  }
  void Text(uint32_t x, uint32_t y, std::string_view text, uint8_t ink) {
    for (size_t i = 0; i < text.size(); ++i) {
      const Glyph glyph = GlyphOf(text[i]);
      const uint32_t left = x + static_cast<uint32_t>(i) * kLetterPixels;
      for (uint32_t row = 0; row < kGlyphHeight; ++row) {
        for (uint32_t column = 0; column < kGlyphWidth; ++column) {
          if ((glyph[row] >> (kGlyphWidth - 1 - column) & 1) == 0) continue;
          Fill(left + column * kTextScale, y + row * kTextScale, kTextScale, kTextScale, ink);
        }
      }
    }
  }
  [[nodiscard]] Result<std::string> Encode(const std::vector<uint8_t>& colours) const;

 private:
  uint32_t width_;
  uint32_t height_;
  std::vector<uint8_t> pixels_;
};

Result<std::string> Raster::Encode(const std::vector<uint8_t>& colours) const {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width_;
  image.height = height_;
  image.format = PNG_FORMAT_RGB_COLORMAP;
  image.colormap_entries = static_cast<uint32_t>(colours.size() / 3);
  const auto stride = static_cast<png_int_32>(width_);
  std::string bytes;
  png_alloc_size_t size = 0;
  bool done = png_image_write_to_memory(&image, nullptr, &size, 0, pixels_.data(), stride,
                                        colours.data()) != 0;
  if (done) {
    bytes.resize(size);
    done = png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels_.data(), stride,
                                     colours.data()) != 0;
  }
  if (!done) {
    const std::string why = image.message;
    png_image_free(&image);
    return MakeError(ErrorCode::kIo, "libpng: " + why);
  }
  return bytes;
}

std::vector<uint8_t> ColoursOf(const MemoryMapPicture& picture) {
  std::vector<uint8_t> colours;
  const auto add = [&](uint32_t rgb) {
    for (const unsigned shift : {16U, 8U, 0U}) colours.push_back(rgb >> shift & 0xff);
  };
  for (const MapKind& kind : picture.kinds) add(kind.rgb);
  add(kPaperRgb);
  add(kInkRgb);
  return colours;
}

std::string InColumn(const std::string& text, size_t width, bool right) {
  const std::string padding(width - std::min(width, text.size()), ' ');
  return right ? padding + text : text + padding;
}

void DrawCells(const MemoryMapPicture& picture, uint32_t cell, uint8_t ink, Raster& raster) {
  for (size_t i = 0; i < picture.cells.size(); ++i) {
    raster.Fill(kCellsLeft + static_cast<uint32_t>(i % picture.width) * cell,
                kBorder + static_cast<uint32_t>(i / picture.width) * cell, cell, cell,
                static_cast<uint8_t>(picture.cells[i].kind));
  }
  const size_t step = (kTextLine + cell - 1) / cell;
  for (size_t row = 0; row < picture.rows(); row += step) {
    raster.Text(kBorder, kBorder + static_cast<uint32_t>(row) * cell,
                HexAddress(picture.cells[row * picture.width].physical), ink);
  }
}

void DrawLegend(const MemoryMapPicture& picture, uint32_t top, uint8_t ink, Raster& raster) {
  constexpr uint32_t kSwatch = kGlyphHeight * kTextScale;
  uint32_t y = top;
  for (const LegendLine& line : LegendOf(picture)) {
    raster.Fill(kCellsLeft - 1, y - 1, kSwatch + 2, kSwatch + 2, ink);
    raster.Fill(kCellsLeft, y, kSwatch, kSwatch,
                static_cast<uint8_t>(line.kind - picture.kinds.data()));
    raster.Text(kCellsLeft + 2 * kSwatch, y,
                InColumn(line.kind->name, 16, false) + InColumn(line.size, 12, true) +
                    InColumn(line.share, 9, true),
                ink);
    y += kTextLine;
  }
  raster.Text(kCellsLeft, y, ScaleText(picture), ink);
}

}  // namespace

Result<std::string> ToPng(const MemoryMapPicture& picture) {
  const uint32_t cell = PixelsOfCell(picture);
  const uint32_t cells_width = std::max(picture.width * cell, kLegendLetters * kLetterPixels);
  const auto cells_height = static_cast<uint32_t>(picture.rows()) * cell;
  const auto legend_lines = static_cast<uint32_t>(LegendOf(picture).size()) + 1;
  const auto paper = static_cast<uint8_t>(picture.kinds.size());
  const auto ink = static_cast<uint8_t>(paper + 1);
  Raster raster(kCellsLeft + cells_width + kBorder,
                cells_height + legend_lines * kTextLine + 3 * kBorder, paper);
  DrawCells(picture, cell, ink, raster);
  DrawLegend(picture, cells_height + 2 * kBorder, ink, raster);
  return raster.Encode(ColoursOf(picture));
}

}  // namespace kcoredump
