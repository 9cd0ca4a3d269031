// SPDX-License-Identifier: MIT
//
// The kernel's log as text and JSON, and the names of its levels and facilities.
#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/try.h"
#include "inspect/json_text.h"
#include "kcoredump/log.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

constexpr uint32_t kCallerIsCpu = 0x80000000;
constexpr std::array<std::string_view, 8> kLevels = {"emerg", "alert",  "crit", "err",
                                                     "warn",  "notice", "info", "debug"};
constexpr std::array<std::string_view, 24> kFacilities = {
    "kern",   "user",   "mail",     "daemon", "auth",   "syslog", "lpr",    "news",
    "uucp",   "cron",   "authpriv", "ftp",    "ntp",    "audit",  "alert",  "clock",
    "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7"};

template <size_t N>
std::optional<unsigned> IndexOf(const std::array<std::string_view, N>& names,
                                std::string_view name) {
  const auto* found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<unsigned>(found - names.begin());
  for (unsigned i = 0; i < N; ++i) {
    if (name == std::to_string(i)) return i;
  }
  return std::nullopt;
}

template <size_t N>
std::string Names(const std::array<std::string_view, N>& names) {
  std::string all;
  for (const std::string_view name : names) all.append(all.empty() ? "" : ", ").append(name);
  return all;
}

std::vector<std::string_view> SplitAtCommas(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t comma = std::min(text.find(','), text.size());
    parts.push_back(text.substr(0, comma));
    if (comma == text.size()) return parts;
    text.remove_prefix(comma + 1);
  }
}

/// Tabs are harmless on a terminal and common in the log.
std::string Shown(std::string_view line) {
  std::string shown;
  for (;;) {
    const size_t tab = std::min(line.find('\t'), line.size());
    shown += Escaped(line.substr(0, tab));
    if (tab == line.size()) return shown;
    shown += '\t';
    line.remove_prefix(tab + 1);
  }
}

std::string TimeOf(const LogRecord& record) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "[%5llu.%06llu]",
                static_cast<unsigned long long>(record.time_ns / 1000000000),
                static_cast<unsigned long long>(record.time_ns % 1000000000 / 1000));
  return text.data();
}

std::string Decoded(const LogRecord& record) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(),
                "%-6s:%-6s: ", record.facility ? LogFacilityName(*record.facility).c_str() : "?",
                record.level ? LogLevelName(*record.level).c_str() : "?");
  return text.data();
}

const char* ColourOf(const LogRecord& record) {
  switch (record.level.value_or(6)) {
    case 0:
    case 1:
    case 2:
      return "\033[1;31m";
    case 3:
      return "\033[31m";
    case 4:
      return "\033[1m";
    default:
      return "";
  }
}

void AddRecord(const LogRecord& record, const LogTextOptions& options, std::string& out) {
  const std::string time = TimeOf(record);
  std::string prefix = options.decode ? Decoded(record) : std::string();
  prefix += options.colour ? "\033[32m" + time + "\033[0m" : time;
  if (options.decode) {
    const std::string caller = record.Caller();
    prefix += " [" + std::string(6 - std::min<size_t>(6, caller.size()), ' ') + caller + "]";
  }
  const std::string colour = options.colour ? ColourOf(record) : "";
  std::string_view text = record.text;
  for (;;) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string line = Shown(text.substr(0, end));
    out += prefix + " ";
    out += colour.empty() || line.empty() ? line : colour + line + "\033[0m";
    out += '\n';
    if (end == text.size()) return;
    text.remove_prefix(end + 1);
  }
}

ordered_json RecordJson(const LogRecord& record) {
  ordered_json object = {{"sequence", record.sequence}, {"time_ns", record.time_ns}};
  object["level"] =
      record.level ? ordered_json(LogLevelName(*record.level)) : ordered_json(nullptr);
  object["facility"] =
      record.facility ? ordered_json(LogFacilityName(*record.facility)) : ordered_json(nullptr);
  object["caller"] = record.Caller();
  object["text"] = record.text;
  object["continuation"] = record.continuation;
  object["newline"] = record.newline;
  object["finished"] = record.finished;
  object["subsystem"] = TextOrNull(record.subsystem);
  object["device"] = TextOrNull(record.device);
  return object;
}

}  // namespace

std::string LogRecord::Caller() const {
  const bool cpu = (caller_id & kCallerIsCpu) != 0;
  return (cpu ? "C" : "T") + std::to_string(caller_id & ~kCallerIsCpu);
}

std::string LogLevelName(unsigned level) {
  return level < kLevels.size() ? std::string(kLevels[level]) : std::to_string(level);
}

std::string LogFacilityName(unsigned facility) {
  return facility < kFacilities.size() ? std::string(kFacilities[facility])
                                       : std::to_string(facility);
}

Result<uint8_t> ParseLogLevels(std::string_view text) {
  unsigned levels = 0;
  for (std::string_view part : SplitAtCommas(text)) {
    const bool and_graver = part.ends_with('+');
    if (and_graver) part.remove_suffix(1);
    const auto level = IndexOf(kLevels, part);
    if (!level) {
      return MakeError(ErrorCode::kInvalidArgument, "no such log level: '" + std::string(part) +
                                                        "'; there are " + Names(kLevels));
    }
    levels |= and_graver ? (2U << *level) - 1 : 1U << *level;
  }
  return static_cast<uint8_t>(levels);
}

Result<uint32_t> ParseLogFacilities(std::string_view text) {
  uint32_t facilities = 0;
  for (const std::string_view part : SplitAtCommas(text)) {
    const auto facility = IndexOf(kFacilities, part);
    if (!facility) {
      return MakeError(ErrorCode::kInvalidArgument, "no such facility: '" + std::string(part) +
                                                        "'; there are " + Names(kFacilities));
    }
    facilities |= 1U << *facility;
  }
  return facilities;
}

std::string ToText(const KernelLog& log, const LogTextOptions& options) {
  std::string text;
  for (const LogRecord& record : log.records) AddRecord(record, options, text);
  return text;
}

std::string ToJson(const KernelLog& log) {
  ordered_json records = ordered_json::array();
  for (const LogRecord& record : log.records) records.push_back(RecordJson(record));
  const ordered_json object = {{"records", std::move(records)},
                               {"notes", log.findings.notes},
                               {"incomplete", log.findings.incomplete}};
  return object.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

std::string ToJsonLines(const KernelLog& log) {
  std::string lines;
  for (const LogRecord& record : log.records) {
    lines += RecordJson(record).dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
  }
  return lines;
}

}  // namespace kcoredump
