// SPDX-License-Identifier: MIT
//
// Text tables for terminals: columns aligned, foreign text escaped, lines cut to the width.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"

namespace kcoredump {

/// At most `columns` code points of escaped text, the last an ellipsis when something was cut. 0:
/// no limit.
[[nodiscard]] std::string CutToWidth(const std::string& line, size_t columns);

/// "12.3 %"
[[nodiscard]] std::string Percent(uint64_t part, uint64_t whole);

class Table {
 public:
  struct Column {
    std::string title;
    bool right = false;  ///< numbers
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// As many cells as columns. Cells are escaped here: give them as the image has them.
  void AddRow(std::vector<std::string> cells);
  [[nodiscard]] size_t rows() const { return rows_.size(); }
  /// A title line (bold with colour) and the rows; the last column is never padded, and what runs
  /// over `style.columns` is cut with "…". UTF-8 counts by code points.
  [[nodiscard]] std::string Text(const TextStyle& style) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace kcoredump
