// SPDX-License-Identifier: MIT
#include "source/iomem.h"

#include <charconv>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// A difference of thousands of ranges tells no more than the first few.
constexpr size_t kMaxDifferences = 64;

struct Line {
  uint64_t first = 0;
  uint64_t last = 0;
  std::string_view name;
};

/// "  00100000-bffd9fff : System RAM"
std::optional<Line> ParseLine(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  Line line;
  const char* end = text.data() + text.size();
  const auto [dash, first_error] = std::from_chars(text.data(), end, line.first, 16);
  if (first_error != std::errc() || dash == end || *dash != '-') return std::nullopt;
  const auto [colon, last_error] = std::from_chars(dash + 1, end, line.last, 16);
  if (last_error != std::errc()) return std::nullopt;
  const std::string_view rest(colon, static_cast<size_t>(end - colon));
  if (!rest.starts_with(" : ") || line.first > line.last) return std::nullopt;
  line.name = rest.substr(3);
  return line;
}

void AddDifferences(std::vector<std::string>& out, const std::vector<Range>& ranges,
                    const std::string& where) {
  for (const Range& range : ranges) {
    if (out.size() == kMaxDifferences) return;
    out.push_back(HexAddress(range.begin) + "-" + HexAddress(range.end - 1) + " only in " + where);
  }
}

}  // namespace

Result<std::vector<Range>> ParseIomem(std::string_view text, uint64_t page_bytes) {
  std::vector<Range> ram;
  bool any_address = false;
  while (!text.empty()) {
    const size_t length = std::min(text.find('\n'), text.size());
    const auto line = ParseLine(text.substr(0, length));
    text.remove_prefix(std::min(length + 1, text.size()));
    if (!line) return MakeError(ErrorCode::kCorrupt, "not in the form of /proc/iomem");
    any_address |= line->last != 0;
    if (!line->name.starts_with("System RAM")) continue;
    const auto begin = CheckedAdd(line->first, page_bytes - 1);
    const auto end = CheckedAdd(line->last, 1);
    if (!begin || !end) return MakeError(ErrorCode::kCorrupt, "a range of /proc/iomem overflows");
    ram.push_back({AlignDown(*begin, page_bytes), AlignDown(*end, page_bytes)});
  }
  if (!any_address) return MakeError(ErrorCode::kPermission, "/proc/iomem hides its addresses");
  return Normalized(std::move(ram));
}

IomemCheck CompareIomem(std::string_view text, const std::vector<Range>& ram, uint64_t page_bytes) {
  const auto parsed = ParseIomem(text, page_bytes);
  if (!parsed.ok()) {
    const bool hidden = parsed.error().code == ErrorCode::kPermission;
    return {.state = hidden ? IomemState::kHidden : IomemState::kUnavailable, .differences = {}};
  }
  const std::vector<Range> headers = Normalized(ram);
  IomemCheck check{.state = IomemState::kAgrees, .differences = {}};
  AddDifferences(check.differences, Subtract(parsed.value(), headers), "/proc/iomem");
  AddDifferences(check.differences, Subtract(headers, parsed.value()), "the program headers");
  if (!check.differences.empty()) check.state = IomemState::kDiffers;
  return check;
}

}  // namespace kcoredump
