// SPDX-License-Identifier: MIT
//
// Physical memory as a picture: cells of some pages each, by what the pages are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kcoredump/kernel.h"
#include "kcoredump/result.h"

namespace kcoredump {

/// What cells are told apart by.
enum class MapBy : uint8_t {
  kClass,    ///< what the kernel uses a page for
  kOutcome,  ///< how the image came to hold it, or why it does not
  kEntropy,  ///< of its bytes, from a sample of pages
  kTime,     ///< when the capture read it
};

/// "class", "outcome", "entropy", "time".
[[nodiscard]] std::string_view MapByName(MapBy by);
[[nodiscard]] Result<MapBy> ParseMapBy(std::string_view text);

inline constexpr uint32_t kMaxMapSide = 1024;

struct MapOptions {
  MapBy by = MapBy::kClass;
  /// Cells in a row, and rows at most; each from 1 to kMaxMapSide.
  uint32_t width = 64;
  uint32_t height = 48;
};

/// What a page can be in one picture: a line of the legend.
struct MapKind {
  std::string name;  ///< "page tables", "6-7 bits a byte", "1.20-1.35 s"
  char letter = '?';
  uint32_t rgb = 0;   ///< 0xrrggbb
  uint8_t ansi = 0;   ///< of 16 colours, as terminals number them
  bool wins = false;  ///< a cell that has one page of it shows it: holes must be seen
  uint64_t pages = 0;
};

struct MapCell {
  uint64_t physical = 0;            ///< of its first page
  uint64_t pages = 0;               ///< in address order; gaps between ranges of RAM are left out
  size_t kind = 0;                  ///< what it shows, an index of `kinds`
  std::vector<uint64_t> kinds;      ///< pages of each kind
  std::optional<double> entropy{};  ///< mean of its sample, bits a byte; of kEntropy alone
};

/// RAM in address order, row by row. Immutable data; any thread may read.
struct MemoryMapPicture {
  MapBy by = MapBy::kClass;
  uint32_t width = 0;
  uint64_t page_bytes = 0;
  uint64_t cell_pages = 0;  ///< of each cell but the last
  uint64_t total_pages = 0;
  bool sampled = false;        ///< counts are those of a sample, scaled
  std::vector<MapKind> kinds;  ///< all that there can be, those without pages too
  std::vector<MapCell> cells;  ///< `width` a row, the last row maybe shorter
  Findings findings;

  [[nodiscard]] size_t rows() const { return width == 0 ? 0 : (cells.size() + width - 1) / width; }
};

/// Reads struct pages or /proc/kpageflags for kClass (where neither can be had, whether a sample of
/// pages is zero, and a note says so), labels for kOutcome, a sample of pages for kEntropy.
/// kUnsupported: kTime of an image that has no times; kInvalidArgument: a side out of range.
[[nodiscard]] Result<MemoryMapPicture> DrawMemory(Kernel& kernel, const MapOptions& options);

enum class MapColours : uint8_t {
  kNone,  ///< letters, a row of cells a line
  k16,    ///< half blocks, two rows of cells a line
  kTrue,  ///< the same in 24 bits
};

/// Each line with the address of its first page, and the legend below.
[[nodiscard]] std::string ToText(const MemoryMapPicture& picture, MapColours colours);
[[nodiscard]] std::string ToJson(const MemoryMapPicture& picture);
/// A document of its own, with the legend.
[[nodiscard]] std::string ToSvg(const MemoryMapPicture& picture);
/// The file's bytes, with the legend.
[[nodiscard]] Result<std::string> ToPng(const MemoryMapPicture& picture);

/// A new file of mode 0600 under a name that exists only once it is whole; "-": standard output.
/// kIo: it is there already, unless `force`.
[[nodiscard]] Status WriteWhole(const std::string& output, std::string_view bytes, bool force);

}  // namespace kcoredump
