// SPDX-License-Identifier: MIT
#include "kcoredump/words.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/try.h"
#include "inspect/session.h"
#include "kcoredump/text.h"
#include "source/range_reader.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

constexpr size_t kLineBytes = 16;

/// Little-endian, of up to 8 bytes.
uint64_t WordOf(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  std::memcpy(&value, bytes.data(), bytes.size());
  return value;
}

/// Two digits a byte.
std::string WordDigits(std::span<const std::byte> bytes) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "%0*llx", static_cast<int>(2 * bytes.size()),
                static_cast<unsigned long long>(WordOf(bytes)));
  return text.data();
}

std::string AddressColumn(uint64_t address) { return HexAddress(address).substr(2); }

std::span<const std::byte> WordAt(std::span<const std::byte> bytes, size_t at, unsigned width) {
  return bytes.subspan(at, std::min<size_t>(width, bytes.size() - at));
}

/// Where the memory of `at` is; nothing: not known, or a process's.
std::optional<PhysAddr> PhysicalOf(Session& session, const Target& at) {
  if (at.space == Target::Space::kPhysical) return PhysAddr{at.address};
  if (at.space == Target::Space::kProcess) return std::nullopt;
  const auto phys = session.kernel().Translate(VirtAddr{at.address});
  if (!phys.ok()) return std::nullopt;
  return phys.value();
}

/// Whether the page is missing because the capture ended before it.
bool IsNotReached(Session& session, const Target& at) {
  const auto phys = PhysicalOf(session, at);
  if (!phys) return false;
  auto reader = RangeReader::Create(session.source(), {});
  if (!reader.ok()) return false;
  std::byte byte{};
  ReadReport report;
  if (!reader.value()->Read(*phys, {&byte, 1}, report).ok()) return false;
  const PageRun* hole = report.FirstHole();
  return hole != nullptr && hole->outcome == PageOutcome::kNotReached;
}

}  // namespace

WordNames KernelWordNames(Kernel& kernel) {
  return [&kernel](uint64_t word) -> std::string {
    // Per-CPU symbols of kernels before 6.15 stand at 0 and up: small numbers are not those.
    const Architecture* arch = kernel.session().facts().arch;
    if (arch != nullptr && !arch->IsKernelAddress(word)) return {};
    return kernel.Symbolize(word);
  };
}

WordDump::WordDump(uint64_t address, unsigned width, WordNames names)
    : address_(address),
      width_(width),
      line_bytes_(names ? width : kLineBytes),
      names_(std::move(names)) {}

std::string WordDump::FormatLine() const {
  std::string line = AddressColumn(address_) + " ";
  std::string text;
  for (size_t at = 0; at < line_bytes_; at += width_) {
    line += ' ';
    const std::string digits = at < line_.size() ? WordDigits(WordAt(line_, at, width_)) : "";
    line += digits + std::string(2 * width_ - digits.size(), ' ');
  }
  if (names_) {
    const std::string name = line_.size() == width_ ? names_(WordOf(line_)) : "";
    if (!name.empty()) line += "  " + Escaped(name);
    return std::string(TrimmedRight(line)) + "\n";
  }
  for (const std::byte byte : line_) {
    const auto value = static_cast<unsigned char>(byte);
    text += value >= 0x20 && value < 0x7f ? static_cast<char>(value) : '.';
  }
  return line + "  |" + text + "|\n";
}

void WordDump::AddLine(std::string& out) {
  const bool repeats = line_ == previous_ && line_.size() == line_bytes_;
  if (!repeats) {
    out += FormatLine();
  } else if (!squeezing_) {
    out += "*\n";
  }
  squeezing_ = repeats;
  address_ += line_.size();
  previous_ = line_;
  line_.clear();
}

std::string WordDump::Add(std::span<const std::byte> bytes) {
  std::string out;
  while (!bytes.empty()) {
    const size_t step = std::min(bytes.size(), line_bytes_ - line_.size());
    line_.insert(line_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(step));
    bytes = bytes.subspan(step);
    if (line_.size() == line_bytes_) AddLine(out);
  }
  return out;
}

std::string WordDump::Finish() {
  std::string out;
  if (!line_.empty()) AddLine(out);
  return out + AddressColumn(address_) + "\n";
}

Result<Reading> ReadMemory(Kernel& kernel, const Target& at, std::span<std::byte> out) {
  Reading reading;
  KCD_ASSIGN(reading.bytes, kernel.Read(at, out, &reading.failure));
  if (reading.bytes == out.size()) return reading;
  Target missing = at;
  missing.address += reading.bytes;
  reading.not_reached = IsNotReached(kernel.session(), missing);
  return reading;
}

std::string ToJson(const WordsAnswer& answer) {
  ordered_json json;
  const Target::Space space = answer.at.space;
  const bool process = space == Target::Space::kProcess;
  json["address"] = HexAddress(answer.at.address);
  json["space"] = space == Target::Space::kPhysical ? "physical" : process ? "process" : "kernel";
  json["pid"] = process ? ordered_json(answer.at.pid) : ordered_json();
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * answer.bytes.size());
  for (const std::byte byte : answer.bytes) {
    hex += kDigits[std::to_integer<size_t>(byte >> 4)];
    hex += kDigits[std::to_integer<size_t>(byte & std::byte{0xf})];
  }
  json["bytes"] = std::move(hex);
  if (answer.width != 0) {
    json["width_bytes"] = answer.width;
    json["words"] = ordered_json::array();
    if (answer.names) json["symbols"] = ordered_json::array();
    for (size_t at = 0; at < answer.bytes.size(); at += answer.width) {
      const auto word = WordAt(answer.bytes, at, answer.width);
      json["words"].push_back("0x" + WordDigits(word));
      if (!answer.names) continue;
      const std::string name = word.size() == answer.width ? answer.names(WordOf(word)) : "";
      json["symbols"].push_back(name.empty() ? ordered_json() : ordered_json(Escaped(name)));
    }
  }
  json["readable_bytes"] = answer.bytes.size();
  json["notes"] = answer.findings.notes;
  json["incomplete"] = answer.findings.incomplete;
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace kcoredump
