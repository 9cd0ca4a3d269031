// SPDX-License-Identifier: MIT
#include "kernel/vmcoreinfo.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace kcoredump {

namespace {

template <typename T>
std::optional<T> ParseWhole(std::string_view digits, int base) {
  T value{};
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, base);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

}  // namespace

Result<VmcoreInfo> VmcoreInfo::Parse(std::string_view text) {
  VmcoreInfo info;
  // The note's page is padded with NULs.
  text = text.substr(0, std::min(text.find('\0'), text.size()));
  while (!text.empty()) {
    const size_t length = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, length);
    text.remove_prefix(std::min(length + 1, text.size()));
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    if (info.values_.size() == kMaxLines) {
      return MakeError(ErrorCode::kLimitExceeded, "VMCOREINFO has too many lines");
    }
    info.values_.emplace(line.substr(0, equals), line.substr(equals + 1));
  }
  return info;
}

std::optional<std::string> VmcoreInfo::Text(const std::string& key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

std::optional<uint64_t> VmcoreInfo::Symbol(const std::string& name) const {
  const auto text = Text("SYMBOL(" + name + ")");
  return text ? ParseWhole<uint64_t>(*text, 16) : std::nullopt;
}

std::map<std::string, uint64_t> VmcoreInfo::Symbols() const {
  static constexpr std::string_view kStart = "SYMBOL(";
  std::map<std::string, uint64_t> symbols;
  for (const auto& [key, value] : values_) {
    if (!key.starts_with(kStart) || !key.ends_with(')')) continue;
    const auto address = ParseWhole<uint64_t>(value, 16);
    if (address) symbols[key.substr(kStart.size(), key.size() - kStart.size() - 1)] = *address;
  }
  return symbols;
}

std::optional<int64_t> VmcoreInfo::Number(const std::string& name) const {
  const auto text = Text("NUMBER(" + name + ")");
  if (!text) return std::nullopt;
  if (text->starts_with("0x")) {
    const auto value = ParseWhole<uint64_t>(std::string_view(*text).substr(2), 16);
    if (!value) return std::nullopt;
    return static_cast<int64_t>(*value);
  }
  return ParseWhole<int64_t>(*text, 10);
}

std::optional<uint64_t> VmcoreInfo::Size(const std::string& name) const {
  return Decimal("SIZE(" + name + ")");
}

std::optional<uint64_t> VmcoreInfo::Offset(const std::string& name) const {
  return Decimal("OFFSET(" + name + ")");
}

std::optional<uint64_t> VmcoreInfo::Length(const std::string& name) const {
  return Decimal("LENGTH(" + name + ")");
}

std::optional<uint64_t> VmcoreInfo::Decimal(const std::string& key) const {
  const auto text = Text(key);
  return text ? ParseWhole<uint64_t>(*text, 10) : std::nullopt;
}

std::optional<uint64_t> VmcoreInfo::KaslrOffset() const {
  const auto text = Text("KERNELOFFSET");
  return text ? ParseWhole<uint64_t>(*text, 16) : std::nullopt;
}

}  // namespace kcoredump
