// SPDX-License-Identifier: MIT
//
// The parts that a report's page is made of. Everything given as `text` may be foreign.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kcoredump {

class HtmlTable {
 public:
  struct Column {
    std::string title;
    bool number = false;  ///< to the right
  };
  explicit HtmlTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// Cells are text. Past kMaxReportRows they are only counted.
  void AddRow(const std::vector<std::string>& cells);
  [[nodiscard]] std::string Html() const;

 private:
  std::vector<Column> columns_;
  std::string rows_;
  size_t count_ = 0;
};

/// Names and values, without those whose value is empty.
[[nodiscard]] std::string HtmlFacts(const std::vector<std::pair<std::string, std::string>>& facts);
/// `text` in lines, the last kMaxReportRows of them.
[[nodiscard]] std::string HtmlLines(std::string_view text);
[[nodiscard]] std::string HtmlParagraph(std::string_view text);
/// `body` is markup.
[[nodiscard]] std::string HtmlSection(std::string_view id, std::string_view title,
                                      const std::string& body);
/// The document around `body`, which is markup. Its policy lets nothing be loaded and nothing run.
[[nodiscard]] std::string HtmlDocument(std::string_view title, const std::string& body);

}  // namespace kcoredump
