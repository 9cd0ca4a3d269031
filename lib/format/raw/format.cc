// SPDX-License-Identifier: MIT
#include "format/raw/format.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "elf/elf_core.h"
#include "kcoredump/text.h"
#include "source/memory_source.h"

namespace kcoredump {

namespace {

using nlohmann::json;

constexpr std::string_view kFormatName = "kcoredump-ranges";
constexpr size_t kMaxEntries = 1 << 17;
constexpr int kMaxErrno = 4095;  ///< kernel: MAX_ERRNO
/// What a hole can be.
constexpr std::array kHoleOutcomes = {PageOutcome::kUnreadable, PageOutcome::kHwPoison,
                                      PageOutcome::kOffline,    PageOutcome::kAbsent,
                                      PageOutcome::kNotReached, PageOutcome::kExcluded};

Error CorruptRanges(const std::string& what) {
  return Corrupt("the ranges of the raw image: " + what);
}

std::optional<uint64_t> Number(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<uint64_t>();
}

std::string Text(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// "0x…".
std::optional<uint64_t> Address(const json& object, const char* key) {
  const std::string text = Text(object, key);
  if (!text.starts_with("0x") || text.size() > 18) return std::nullopt;
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + 2, end, value, 16);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::optional<RawRange> ParseRange(const json& entry) {
  if (!entry.is_object()) return std::nullopt;
  const auto start = Address(entry, "start");
  const auto end = Address(entry, "end");
  const auto offset = Number(entry, "offset");
  if (!start || !end || !offset || *start >= *end) return std::nullopt;
  if (!CheckedAdd(*offset, *end - *start)) return std::nullopt;
  return RawRange{.phys = {*start, *end}, .offset = *offset};
}

std::optional<PageRun> ParseHole(const json& entry, uint64_t page_bytes) {
  if (!entry.is_object()) return std::nullopt;
  const auto start = Address(entry, "start");
  const auto pages = Number(entry, "pages");
  const std::string kind = Text(entry, "kind");
  const auto outcome =
      std::find_if(kHoleOutcomes.begin(), kHoleOutcomes.end(),
                   [&](PageOutcome candidate) { return PageOutcomeName(candidate) == kind; });
  if (!start || *start % page_bytes != 0 || !pages || *pages == 0 ||
      outcome == kHoleOutcomes.end()) {
    return std::nullopt;
  }
  const auto bytes = CheckedMultiply(*pages, page_bytes);
  if (!bytes || !CheckedAdd(*start, *bytes)) return std::nullopt;
  const uint64_t system_errno = Number(entry, "errno").value_or(0);
  if (system_errno > kMaxErrno) return std::nullopt;
  return PageRun{.first = PhysAddr{*start},
                 .pages = *pages,
                 .outcome = *outcome,
                 .system_errno = static_cast<int>(system_errno)};
}

/// Whether text that may be JSON is small enough to be parsed: JSON of a few megabytes can nest
/// millions deep, or ask for gigabytes. What it says is the parser's to judge.
bool IsModest(std::string_view text) {
  static constexpr size_t kMaxDepth = 8;
  static constexpr size_t kMaxContainers = 2 * (kMaxEntries + 1) + kMaxDepth;
  static constexpr size_t kMaxCommas = 10 * kMaxEntries;
  size_t depth = 0;
  size_t containers = 0;
  size_t commas = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (in_string && c == '\\') ++i;
    if (in_string) continue;
    if (c == ',' && ++commas > kMaxCommas) return false;
    if ((c == '}' || c == ']') && depth != 0) --depth;
    if ((c == '{' || c == '[') && (++depth > kMaxDepth || ++containers > kMaxContainers)) {
      return false;
    }
  }
  return true;
}

/// Hands each entry of the list `key` to `take`, which says whether it is one.
template <typename Take>
Status EachEntry(const json& object, const char* key, const Take& take) {
  const auto list = object.find(key);
  if (list == object.end()) return {};
  if (!list->is_array()) return CorruptRanges(std::string("\"") + key + "\" is not a list");
  if (list->size() > kMaxEntries) {
    return MakeError(ErrorCode::kLimitExceeded, Grouped(list->size()) + " entries in \"" + key +
                                                    "\", more than " + Grouped(kMaxEntries));
  }
  size_t index = 0;
  for (const json& entry : *list) {
    if (!take(entry)) {
      return CorruptRanges("entry " + std::to_string(index) + " of \"" + key + "\" makes no sense");
    }
    ++index;
  }
  return {};
}

}  // namespace

Result<RawRanges> ParseRawRanges(std::string_view text) {
  if (!IsModest(text)) {
    return MakeError(ErrorCode::kLimitExceeded, "the ranges of the raw image are too many");
  }
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object() || Text(object, "format") != kFormatName) {
    return CorruptRanges("not a JSON object with \"format\": \"" + std::string(kFormatName) + "\"");
  }
  const auto version = Number(object, "version");
  if (version != kRawRangesVersion) {
    return MakeError(ErrorCode::kUnsupported,
                     "the ranges of the raw image are of another version; this program knows 1");
  }
  RawRanges parsed;
  parsed.page_bytes = Number(object, "page_bytes").value_or(0);
  if (!IsPageSize(parsed.page_bytes)) return CorruptRanges("\"page_bytes\" is no page size");
  parsed.machine = MachineFromName(Text(object, "machine"));
  parsed.vmcoreinfo = Text(object, "vmcoreinfo");
  KCD_TRY(EachEntry(object, "ranges", [&](const json& entry) {
    const auto range = ParseRange(entry);
    if (range) parsed.ranges.push_back(*range);
    return range.has_value();
  }));
  if (parsed.ranges.empty()) return CorruptRanges("there are none");
  uint64_t previous_end = 0;
  KCD_TRY(EachEntry(object, "holes", [&](const json& entry) {
    const auto hole = ParseHole(entry, parsed.page_bytes);
    if (!hole || hole->first.address < previous_end) return false;
    previous_end = hole->first.address + hole->pages * parsed.page_bytes;
    parsed.holes.push_back(*hole);
    return true;
  }));
  return parsed;
}

std::string ToJson(const RawRanges& ranges) {
  using nlohmann::ordered_json;
  ordered_json object = {
      {"format", kFormatName}, {"version", kRawRangesVersion}, {"page_bytes", ranges.page_bytes}};
  if (ranges.machine != EM_NONE) object["machine"] = MachineName(ranges.machine);
  if (!ranges.vmcoreinfo.empty()) object["vmcoreinfo"] = ranges.vmcoreinfo;
  object["ranges"] = ordered_json::array();
  for (const RawRange& range : ranges.ranges) {
    object["ranges"].push_back({{"start", HexAddress(range.phys.begin)},
                                {"end", HexAddress(range.phys.end)},
                                {"offset", range.offset}});
  }
  object["holes"] = ordered_json::array();
  for (const PageRun& hole : ranges.holes) {
    ordered_json entry = {{"start", HexAddress(hole.first.address)},
                          {"pages", hole.pages},
                          {"kind", PageOutcomeName(hole.outcome)}};
    if (hole.system_errno != 0) entry["errno"] = hole.system_errno;
    object["holes"].push_back(std::move(entry));
  }
  return object.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace kcoredump
