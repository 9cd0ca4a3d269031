// SPDX-License-Identifier: MIT
#include "inspect/picture/html.h"

#include <algorithm>

#include "inspect/picture/markup.h"
#include "kcoredump/report.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr char kStyle[] = R"css(
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2128; --faint: #667; --line: #d5d9e0; --soft: #f4f6f9; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181f; --ink: #e3e7ee; --faint: #99a3b3; --line: #333c4a; --soft: #1c222c; }
}
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 0 auto;
  max-width: 1100px; padding: 1.5rem; }
h1 { font-size: 1.6rem; overflow-wrap: anywhere; }
h2 { border-bottom: 1px solid var(--line); font-size: 1.2rem; margin-top: 2.2rem; padding-bottom: .2rem; }
nav a { color: inherit; margin-right: 1em; }
dl { display: grid; gap: .15rem 1.2rem; grid-template-columns: max-content 1fr; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
.scroll { max-height: 40rem; overflow: auto; }
table { border-collapse: collapse; font-size: .86rem; width: 100%; }
th { background: var(--soft); position: sticky; text-align: left; top: 0; }
th, td { border-bottom: 1px solid var(--line); padding: .15rem .6rem; vertical-align: top; }
td, pre { font-family: ui-monospace, monospace; }
td:last-child, pre { overflow-wrap: anywhere; }
td, dd { unicode-bidi: isolate; }
.number { text-align: right; white-space: nowrap; }
pre { background: var(--soft); font-size: .82rem; margin: 0; padding: .6rem; unicode-bidi: plaintext;
  white-space: pre-wrap; }
svg { display: block; height: auto; max-width: 100%; }
.timeline { fill: currentColor; font: 12px ui-monospace, monospace; width: 100%; }
.rate { fill: #3f8efc; } .retried { fill: #d99a1c; } .holes { fill: #ff1f1f; }
.axis { fill: none; stroke: var(--faint); }
.note { color: var(--faint); }
@media print {
  :root { --paper: #fff; --ink: #000; --faint: #444; --line: #bbb; --soft: #fff; color-scheme: light; }
  body { font-size: 11px; max-width: none; padding: 0; }
  nav { display: none; }
  .scroll { max-height: none; overflow: visible; }
  th { position: static; }
  tr, svg { break-inside: avoid; }
  thead { display: table-header-group; }
}
)css";

std::string Cell(const char* tag, bool number, std::string_view text) {
  return std::string("<") + tag + (number ? " class=\"number\">" : ">") + MarkupText(text) + "</" +
         tag + ">";
}

}  // namespace

void HtmlTable::AddRow(const std::vector<std::string>& cells) {
  if (++count_ > kMaxReportRows) return;
  rows_ += "<tr>";
  for (size_t i = 0; i < columns_.size(); ++i) {
    rows_ += Cell("td", columns_[i].number, i < cells.size() ? cells[i] : std::string());
  }
  rows_ += "</tr>\n";
}

std::string HtmlTable::Html() const {
  std::string out = "<div class=\"scroll\"><table><thead><tr>";
  for (const Column& column : columns_) out += Cell("th", column.number, column.title);
  out += "</tr></thead>\n<tbody>\n" + rows_ + "</tbody></table></div>\n";
  if (count_ <= kMaxReportRows) return out;
  return out + HtmlParagraph("and " + Grouped(count_ - kMaxReportRows) + " more");
}

std::string HtmlFacts(const std::vector<std::pair<std::string, std::string>>& facts) {
  std::string out = "<dl>\n";
  for (const auto& [name, value] : facts) {
    if (!value.empty()) out += Cell("dt", false, name) + Cell("dd", false, value) + "\n";
  }
  return out + "</dl>\n";
}

std::string HtmlLines(std::string_view text) {
  size_t lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  std::string out;
  if (lines > kMaxReportRows) {
    out = HtmlParagraph(Grouped(lines - kMaxReportRows) + " lines before these are left out");
  }
  out += "<div class=\"scroll\"><pre>";
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (lines-- > kMaxReportRows) continue;
    std::string shown(line);
    std::replace(shown.begin(), shown.end(), '\t', ' ');
    out += MarkupText(shown) + "\n";
  }
  return out + "</pre></div>\n";
}

std::string HtmlParagraph(std::string_view text) {
  return "<p class=\"note\">" + MarkupText(text) + "</p>\n";
}

std::string HtmlSection(std::string_view id, std::string_view title, const std::string& body) {
  return "<section id=\"" + MarkupText(id) + "\">\n<h2>" + MarkupText(title) + "</h2>\n" + body +
         "</section>\n";
}

std::string HtmlDocument(std::string_view title, const std::string& body) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
         "style-src 'unsafe-inline'; img-src data:\">\n"
         "<meta name=\"referrer\" content=\"no-referrer\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
         MarkupText(title) + "</title>\n<style>" + kStyle + "</style>\n</head>\n<body>\n" + body +
         "</body>\n</html>\n";
}

}  // namespace kcoredump
