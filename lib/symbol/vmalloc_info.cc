// SPDX-License-Identifier: MIT
//
// The text of /proc/vmallocinfo (kernel: mm/vmalloc.c, vmalloc_info_show): START-END SIZE CALLER
// pages=N phys=0x… KINDS N0=…
#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/words.h"
#include "kcoredump/text.h"
#include "symbol/vmalloc_areas.h"

namespace kcoredump {

namespace {

constexpr char kInfoCure[] =
    "set sysctl kernel.kptr_restrict=1 and read it with CAP_SYSLOG, or have the kernel's own lists "
    "read";

constexpr size_t kMaxWords = 64;

std::optional<uint64_t> Number(std::string_view text, int base) {
  if (base == 16 && text.starts_with("0x")) text.remove_prefix(2);
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, base);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

/// What stands after the caller.
void TakeWord(std::string_view word, VmallocArea& area) {
  if (word.starts_with("pages=")) {
    area.pages = Number(word.substr(6), 10).value_or(0);
  } else if (word.starts_with("phys=")) {
    area.phys = Number(word.substr(5), 16);
  } else if (word.starts_with('[') && word.ends_with(']') && area.kinds.empty()) {
    area.caller += " " + std::string(word);
  } else if (word != "vm_area" && word.find('=') == std::string_view::npos) {
    area.kinds.emplace_back(word);  // "unpurged vm_area" is one thing; N0=… is about NUMA nodes
  }
}

/// An address or symbol+offset/size, and no kind of area.
bool IsCaller(std::string_view word) {
  return word.find('=') == std::string_view::npos &&
         (word.starts_with("0x") || word.find("+0x") != std::string_view::npos);
}

struct InfoLine {
  VmallocArea area;
  bool sound = false;     ///< it has the form of a line
  bool truthful = false;  ///< its addresses are addresses
};

InfoLine ParseLine(std::string_view text) {
  InfoLine line;
  const std::vector<std::string_view> words = SplitWords(text, kMaxWords);
  if (words.size() < 2) return line;
  const size_t dash = words[0].find('-');
  const auto bytes = Number(words[1], 10);
  if (dash == std::string_view::npos || !bytes) return line;
  line.sound = words[0].starts_with("0x") || words[0].starts_with('(');
  const auto start = Number(words[0].substr(0, dash), 16);
  const auto end = Number(words[0].substr(dash + 1), 16);
  // %p hashes to 32 bits, and to "(ptrval)" before there is entropy; kernel addresses are in the
  // upper half of any machine.
  if (!start || !end || *start >> 63 == 0 || *end <= *start || *end - *start != *bytes) return line;
  line.truthful = true;
  line.area.start = *start;
  line.area.end = *end;
  size_t next = 2;
  if (next < words.size() && IsCaller(words[next])) {
    line.area.caller = words[next++];
    if (line.area.caller.starts_with("0x")) {
      line.area.caller_address = Number(line.area.caller, 16).value_or(0);
    }
  }
  for (; next < words.size(); ++next) TakeWord(words[next], line.area);
  return line;
}

Error Untruthful(std::string_view line) {
  const bool hidden = line.starts_with("0x0000000000000000-0x0000000000000000");
  return MakeError(ErrorCode::kPermission, std::string("the addresses in vmallocinfo are ") +
                                               (hidden ? "hidden" : "hashed") + ": " + kInfoCure);
}

}  // namespace

Result<VmallocAreas> ParseVmallocInfo(std::string_view text) {
  VmallocAreas out;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    const bool torn = end == std::string_view::npos;
    text.remove_prefix(torn ? text.size() : end + 1);
    InfoLine parsed = ParseLine(line);
    if (parsed.truthful) {
      if (out.areas.size() >= kMaxVmallocAreas) {
        return MakeError(ErrorCode::kLimitExceeded,
                         "vmallocinfo has more than " + Grouped(kMaxVmallocAreas) + " lines");
      }
      out.areas.push_back(std::move(parsed.area));
    } else if (parsed.sound && !torn) {
      return Untruthful(line);
    } else if (torn) {
      out.notes.emplace_back("the text of vmallocinfo breaks off");
      out.incomplete = true;
    } else {
      return MakeError(ErrorCode::kCorrupt, "not a line of vmallocinfo: " + std::string(line));
    }
  }
  std::stable_sort(out.areas.begin(), out.areas.end(),
                   [](const auto& a, const auto& b) { return a.start < b.start; });
  return out;
}

const VmallocArea* VmallocAreas::Containing(uint64_t address) const {
  auto after = std::upper_bound(areas.begin(), areas.end(), address,
                                [](uint64_t at, const auto& area) { return at < area.start; });
  if (after == areas.begin()) return nullptr;
  const VmallocArea& candidate = *std::prev(after);
  return address < candidate.end ? &candidate : nullptr;
}

}  // namespace kcoredump
