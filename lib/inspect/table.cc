// SPDX-License-Identifier: MIT
#include "inspect/table.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// Code points of well-formed UTF-8, which Escaped gives.
size_t Width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

std::string CutToWidth(const std::string& line, size_t columns) {
  if (columns == 0 || Width(line) <= columns) return line;
  size_t kept = 0;
  size_t at = 0;
  while (at < line.size()) {
    if ((line[at] & 0xc0) != 0x80 && kept++ == columns - 1) break;
    ++at;
  }
  return line.substr(0, at) + "…";
}

std::string Percent(uint64_t part, uint64_t whole) {
  if (whole == 0) return "0.0 %";
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%.1f %%",
                100.0 * static_cast<double>(part) / static_cast<double>(whole));
  return text.data();
}

void Table::AddRow(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  for (std::string& cell : cells) cell = Escaped(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::Text(const TextStyle& style) const {
  std::vector<size_t> widths;
  for (const Column& column : columns_) widths.push_back(Width(column.title));
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  const auto line_of = [&](const auto& cell_of) {
    std::string line;
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string& cell = cell_of(i);
      const std::string padding(widths[i] - Width(cell), ' ');
      if (i != 0) line += "  ";
      if (columns_[i].right) line += padding;
      line += cell;
      if (!columns_[i].right && i + 1 != columns_.size()) line += padding;
    }
    return CutToWidth(std::string(TrimmedRight(line)), style.columns);
  };
  const std::string title =
      line_of([&](size_t i) -> const std::string& { return columns_[i].title; });
  std::string text = style.colour ? "\x1b[1m" + title + "\x1b[0m\n" : title + "\n";
  for (const auto& row : rows_) {
    text += line_of([&](size_t i) -> const std::string& { return row[i]; }) + "\n";
  }
  return text;
}

}  // namespace kcoredump
