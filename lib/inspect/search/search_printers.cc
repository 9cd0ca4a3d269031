// SPDX-License-Identifier: MIT
//
// Matches of a search as text and JSON.
#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "kcoredump/inspect.h"
#include "kcoredump/search.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

/// Symbols are longer now and then; most rows align.
constexpr size_t kSymbolColumns = 28;
constexpr size_t kHexPreviewBytes = 16;

std::string PaddedTo(std::string text, size_t columns) {
  if (text.size() < columns) text.append(columns - text.size(), ' ');
  return text;
}

/// At most `columns`; the rows are ASCII but for what a symbol may hold.
std::string Line(std::string text, const TextStyle& style) {
  text = TrimmedRight(text);
  if (style.columns != 0 && text.size() > style.columns) text.resize(style.columns);
  return text + "\n";
}

std::string Printable(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    text += value >= 0x20 && value < 0x7f ? static_cast<char>(value) : '.';
  }
  return text;
}

std::string HexDigits(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    std::array<char, 4> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", std::to_integer<unsigned>(byte));
    text += digits.data();
  }
  return text;
}

std::span<const std::byte> First(const std::vector<std::byte>& bytes, uint64_t count) {
  return std::span(bytes).first(std::min<uint64_t>(bytes.size(), count));
}

bool ShowsText(PatternKind kind) {
  return kind == PatternKind::kText || kind == PatternKind::kRegex;
}

/// What stands there from the match on: text, or its bytes with their text.
std::string Preview(const SearchMatch& match, PatternKind kind) {
  if (ShowsText(kind)) return Printable(First(match.bytes, kPreviewBytes));
  const auto bytes = First(match.bytes, kHexPreviewBytes);
  std::string hex;
  for (size_t i = 0; i < bytes.size(); ++i) {
    hex += HexDigits(bytes.subspan(i, 1)) + (i + 1 == bytes.size() ? "" : i % 8 == 7 ? "  " : " ");
  }
  return PaddedTo(hex, 3 * kHexPreviewBytes) + "  " + Printable(bytes);
}

std::string AddressOr(const std::optional<uint64_t>& address, const char* otherwise) {
  return address ? HexAddress(*address) : otherwise;
}

std::string Row(const std::string& phys, const std::string& virt, const std::string& symbol,
                const std::string& preview) {
  return PaddedTo(phys, 18) + "  " + PaddedTo(virt, 18) + "  " + PaddedTo(symbol, kSymbolColumns) +
         "  " + preview;
}

const char* KindName(PatternKind kind) {
  switch (kind) {
    case PatternKind::kText:
      return "text";
    case PatternKind::kBytes:
      return "bytes";
    case PatternKind::kWord:
      return "word";
    case PatternKind::kRegex:
      return "regex";
  }
  return "text";
}

ordered_json AddressJson(const std::optional<uint64_t>& address) {
  return address ? ordered_json(HexAddress(*address)) : ordered_json();
}

ordered_json MatchJson(const SearchMatch& match, bool with_context) {
  ordered_json json;
  json["physical"] = AddressJson(match.phys);
  json["virtual"] = AddressJson(match.virt);
  json["aliases"] = ordered_json::array();
  for (const uint64_t alias : match.aliases) json["aliases"].push_back(HexAddress(alias));
  if (match.at.space == Target::Space::kProcess) {
    json["pid"] = match.at.pid;
    json["process_address"] = HexAddress(match.at.address);
  }
  json["symbol"] = match.symbol.empty() ? ordered_json() : ordered_json(Escaped(match.symbol));
  json["length_bytes"] = match.length;
  json["bytes"] = HexDigits(First(match.bytes, match.length));
  json["text"] = Printable(First(match.bytes, kPreviewBytes));
  if (with_context) {
    json["context_address"] = HexAddress(match.context_address);
    json["context"] = HexDigits(match.context);
  }
  return json;
}

}  // namespace

std::string SearchTitle(const TextStyle& style) {
  std::string title = Line(Row("PHYSICAL", "VIRTUAL", "SYMBOL", "MEMORY"), style);
  if (style.colour) title = "\x1b[1m" + title.substr(0, title.size() - 1) + "\x1b[0m\n";
  return title;
}

std::string ToText(const SearchMatch& match, const SearchOptions& options, const TextStyle& style) {
  const bool process = match.at.space == Target::Space::kProcess;
  const std::string virt = process ? HexAddress(match.at.address) : AddressOr(match.virt, "-");
  const std::string symbol = match.symbol.empty() ? "-" : Escaped(match.symbol);
  std::string text =
      Line(Row(AddressOr(match.phys, "-"), virt, symbol, Preview(match, options.kind)), style);
  if (match.context.empty()) return text;
  HexDump dump(match.context_address);
  const std::string lines = dump.Add(match.context);
  return text + lines + dump.Finish() + "\n";
}

std::string Summary(const SearchReport& report) {
  std::string text = report.matches.empty() ? "no match" : Grouped(report.matches.size());
  if (!report.matches.empty()) text += report.matches.size() == 1 ? " match" : " matches";
  text += " in " + HumanBytes(report.searched_bytes) + " of " + HumanBytes(report.total_bytes);
  std::array<char, 48> seconds{};
  std::snprintf(seconds.data(), seconds.size(), ", %.1f s", report.seconds);
  text += seconds.data();
  if (report.unmapped_bytes != 0) {
    text += "; " + HumanBytes(report.unmapped_bytes) + " of the addresses are not mapped";
  }
  return text;
}

std::string ToJson(const SearchReport& report, const SearchOptions& options) {
  ordered_json json;
  json["pattern"] = options.pattern;
  json["kind"] = KindName(options.kind);
  json["matches"] = ordered_json::array();
  for (const SearchMatch& match : report.matches) {
    json["matches"].push_back(MatchJson(match, options.context_bytes != 0));
  }
  json["total_bytes"] = report.total_bytes;
  json["searched_bytes"] = report.searched_bytes;
  json["holes_bytes"] = report.hole_bytes;
  json["unmapped_bytes"] = report.unmapped_bytes;
  json["complete"] = report.complete;
  json["stopped_at_max"] = report.stopped_at_max;
  json["cancelled"] = report.cancelled;
  json["seconds"] = report.seconds;
  json["threads"] = report.threads;
  json["notes"] = report.findings.notes;
  json["incomplete"] = report.findings.incomplete;
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace kcoredump
