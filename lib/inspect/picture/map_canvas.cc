// SPDX-License-Identifier: MIT
#include "inspect/picture/map_canvas.h"

#include <algorithm>

#include "inspect/picture/map_kinds.h"

namespace kcoredump {

MapCanvas::MapCanvas(std::vector<Range> ram, std::vector<MapKind> kinds, const MapOptions& options,
                     uint64_t page_bytes)
    : ram_(std::move(ram)) {
  picture_.by = options.by;
  picture_.width = options.width;
  picture_.page_bytes = page_bytes;
  picture_.kinds = std::move(kinds);
  for (const Range& range : ram_) {
    first_pages_.push_back(picture_.total_pages);
    picture_.total_pages += range.size() / page_bytes;
  }
  const uint64_t room = uint64_t{options.width} * options.height;
  picture_.cell_pages = std::max<uint64_t>((picture_.total_pages + room - 1) / room, 1);
  for (uint64_t at = 0; at < picture_.total_pages; at += picture_.cell_pages) {
    picture_.cells.push_back({.physical = AddressOf(at),
                              .pages = std::min(picture_.cell_pages, picture_.total_pages - at),
                              .kinds = std::vector<uint64_t>(picture_.kinds.size())});
  }
}

uint64_t MapCanvas::AddressOf(uint64_t page) const {
  const auto after = std::upper_bound(first_pages_.begin(), first_pages_.end(), page);
  const auto range = static_cast<size_t>(after - first_pages_.begin()) - 1;
  return ram_[range].begin + (page - first_pages_[range]) * picture_.page_bytes;
}

void MapCanvas::Count(size_t cell, size_t kind, uint64_t pages) {
  picture_.cells[cell].kinds[kind] += pages;
  picture_.kinds[kind].pages += pages;
}

void MapCanvas::Add(uint64_t pages, size_t kind) {
  while (pages != 0 && added_ < picture_.total_pages) {
    const uint64_t left = picture_.cell_pages - added_ % picture_.cell_pages;
    const uint64_t here = std::min({pages, left, picture_.total_pages - added_});
    Count(added_ / picture_.cell_pages, kind, here);
    added_ += here;
    pages -= here;
  }
}

std::vector<uint64_t> MapCanvas::SampleOf(size_t cell, uint64_t count) const {
  const uint64_t pages = picture_.cells[cell].pages;
  count = std::min(count, pages);
  std::vector<uint64_t> sample;
  for (uint64_t i = 0; i < count; ++i) {
    sample.push_back(AddressOf(cell * picture_.cell_pages + pages / count * i));
  }
  return sample;
}

void MapCanvas::AddSample(size_t cell, const std::vector<uint64_t>& seen,
                          std::optional<double> entropy) {
  uint64_t looks = 0;
  uint64_t most = 0;
  for (size_t kind = 0; kind < seen.size(); ++kind) {
    looks += seen[kind];
    if (seen[kind] > seen[most]) most = kind;
  }
  if (looks == 0) return;
  const uint64_t pages = picture_.cells[cell].pages;
  uint64_t given = 0;
  for (size_t kind = 0; kind < seen.size(); ++kind) {
    const uint64_t share = pages / looks * seen[kind];
    Count(cell, kind, share);
    given += share;
  }
  Count(cell, most, pages - given);  // what does not divide
  picture_.cells[cell].entropy = entropy;
  picture_.sampled |= looks < pages;
}

/// A hole wherever there is one; else the mean of the entropy; else what most pages are.
size_t MapCanvas::Shown(const MapCell& cell) const {
  size_t most = 0;
  std::optional<size_t> hole;
  for (size_t kind = 0; kind < cell.kinds.size(); ++kind) {
    const uint64_t pages = cell.kinds[kind];
    if (pages > cell.kinds[most]) most = kind;
    if (!picture_.kinds[kind].wins || pages == 0) continue;
    if (!hole || pages > cell.kinds[*hole]) hole = kind;
  }
  if (hole) return *hole;
  if (!cell.entropy) return most;
  if (*cell.entropy == 0) return kScaleZero;
  return std::min(static_cast<size_t>(*cell.entropy), kScaleSteps - 1);
}

MemoryMapPicture MapCanvas::Finish() {
  for (MapCell& cell : picture_.cells) cell.kind = Shown(cell);
  return std::move(picture_);
}

}  // namespace kcoredump
