// SPDX-License-Identifier: MIT
//
// RAM laid out in cells, filled run by run.
#pragma once

#include <vector>

#include "base/range.h"
#include "kcoredump/map.h"

namespace kcoredump {

/// For one thread.
class MapCanvas {
 public:
  /// `ram`: sorted, free of overlap, whole pages.
  MapCanvas(std::vector<Range> ram, std::vector<MapKind> kinds, const MapOptions& options,
            uint64_t page_bytes);

  /// The next `pages` pages of RAM are of `kind`.
  void Add(uint64_t pages, size_t kind);
  /// What a sample of a cell told: so many pages of each kind were seen.
  void AddSample(size_t cell, const std::vector<uint64_t>& seen, std::optional<double> entropy);

  [[nodiscard]] size_t cells() const { return picture_.cells.size(); }
  /// The addresses of at most `count` pages of a cell, evenly apart.
  [[nodiscard]] std::vector<uint64_t> SampleOf(size_t cell, uint64_t count) const;

  /// Chooses what each cell shows.
  [[nodiscard]] MemoryMapPicture Finish();

 private:
  [[nodiscard]] uint64_t AddressOf(uint64_t page) const;
  void Count(size_t cell, size_t kind, uint64_t pages);
  [[nodiscard]] size_t Shown(const MapCell& cell) const;

  std::vector<Range> ram_;
  std::vector<uint64_t> first_pages_;  ///< of each range, counted through RAM
  MemoryMapPicture picture_;
  uint64_t added_ = 0;
};

}  // namespace kcoredump
