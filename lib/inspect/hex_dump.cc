// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cstdio>

#include "base/error.h"
#include "kcoredump/inspect.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr size_t kDumpLineBytes = 16;

std::string DumpAddressColumn(uint64_t address) { return HexAddress(address).substr(2); }

std::string FormatLine(uint64_t address, std::span<const std::byte> bytes) {
  std::string line = DumpAddressColumn(address) + " ";
  std::string text;
  for (size_t i = 0; i < kDumpLineBytes; ++i) {
    if (i % 8 == 0) line += ' ';
    if (i >= bytes.size()) {
      line += "   ";
      continue;
    }
    const auto value = std::to_integer<unsigned>(bytes[i]);
    std::array<char, 4> hex{};
    std::snprintf(hex.data(), hex.size(), "%02x ", value);
    line += hex.data();
    text += value >= 0x20 && value < 0x7f ? static_cast<char>(value) : '.';
  }
  return line + " |" + text + "|\n";
}

}  // namespace

void HexDump::AddLine(std::string& out) {
  const bool repeats = line_ == previous_ && line_.size() == kDumpLineBytes;
  if (!repeats) {
    out += FormatLine(address_, line_);
  } else if (!squeezing_) {
    out += "*\n";
  }
  squeezing_ = repeats;
  address_ += line_.size();
  previous_ = line_;
  line_.clear();
}

std::string HexDump::Add(std::span<const std::byte> bytes) {
  std::string out;
  while (!bytes.empty()) {
    const size_t step = std::min(bytes.size(), kDumpLineBytes - line_.size());
    line_.insert(line_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(step));
    bytes = bytes.subspan(step);
    if (line_.size() == kDumpLineBytes) AddLine(out);
  }
  return out;
}

std::string HexDump::Finish() {
  std::string out;
  if (!line_.empty()) AddLine(out);
  return out + DumpAddressColumn(address_) + "\n";
}

}  // namespace kcoredump
