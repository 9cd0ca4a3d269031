// SPDX-License-Identifier: MIT
#include "inspect/search/strings_scan.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/zero.h"

namespace kcoredump {

namespace {

bool IsPrintable(std::byte byte) {
  return (byte >= std::byte{0x20} && byte < std::byte{0x7f}) || byte == std::byte{'\t'};
}

void ScanNarrow(std::span<const std::byte> page, uint64_t least, std::vector<ScannedString>& out) {
  const std::string_view text = AsText(page);
  for (size_t at = 0; at < page.size();) {
    if (!IsPrintable(page[at])) {
      ++at;
      continue;
    }
    size_t end = at + 1;
    while (end < page.size() && IsPrintable(page[end])) ++end;
    if (end - at >= least) {
      out.push_back({.offset = at, .wide = false, .text = std::string(text.substr(at, end - at))});
    }
    at = end;
  }
}

void ScanWide(std::span<const std::byte> page, uint64_t least, std::vector<ScannedString>& out) {
  const auto is_wide = [&](size_t at) {
    return at + 1 < page.size() && page[at + 1] == std::byte{0} && IsPrintable(page[at]);
  };
  for (size_t at = 0; at + 1 < page.size();) {
    size_t end = at;
    while (is_wide(end)) end += 2;
    if ((end - at) / 2 >= least) {
      ScannedString found{.offset = at, .wide = true, .text = {}};
      for (size_t i = at; i < end; i += 2) found.text += static_cast<char>(page[i]);
      out.push_back(std::move(found));
    }
    at = std::max(end, at + 2);
  }
}

}  // namespace

void ScanStrings(std::span<const std::byte> page, uint64_t least, std::vector<ScannedString>& out) {
  if (IsZero(page)) return;
  const auto first = static_cast<ptrdiff_t>(out.size());
  ScanNarrow(page, least, out);
  ScanWide(page, least, out);
  std::stable_sort(
      out.begin() + first, out.end(),
      [](const ScannedString& a, const ScannedString& b) { return a.offset < b.offset; });
}

}  // namespace kcoredump
