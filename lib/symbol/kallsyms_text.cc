// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"
#include "symbol/kallsyms.h"

namespace kcoredump {

namespace {

constexpr char kCure[] =
    "; as root with CAP_SYSLOG and with kernel.kptr_restrict below 2 (sysctl) they would be right";
/// Lines of about this many bytes, so that memory is reserved once.
constexpr size_t kUsualLineBytes = 40;
constexpr size_t kAddressDigits = 16;

constexpr uint8_t kNoDigit = 0xff;

constexpr std::array<uint8_t, 256> DigitValues() {
  std::array<uint8_t, 256> values{};
  values.fill(kNoDigit);
  for (uint8_t i = 0; i < 10; ++i) values[static_cast<size_t>('0' + i)] = i;
  for (uint8_t i = 0; i < 6; ++i) {
    values[static_cast<size_t>('a' + i)] = static_cast<uint8_t>(10 + i);
    values[static_cast<size_t>('A' + i)] = static_cast<uint8_t>(10 + i);
  }
  return values;
}
constexpr std::array<uint8_t, 256> kDigitValues = DigitValues();

struct Line {
  uint64_t address = 0;
  char type = '?';
  std::string_view name;
  std::string_view module;
};

/// "ADDRESS TYPE NAME[\t[MODULE]]", as kernel/kallsyms.c (s_show) writes it.
bool ParseLine(std::string_view text, Line& line) {
  size_t digits = 0;
  line.address = 0;
  while (digits < text.size() && digits <= kAddressDigits) {
    const uint8_t value = kDigitValues[static_cast<uint8_t>(text[digits])];
    if (value == kNoDigit) break;
    line.address = line.address << 4 | value;
    ++digits;
  }
  if (digits == 0 || digits > kAddressDigits || text.size() < digits + 4) return false;
  if (text[digits] != ' ' || text[digits + 1] == ' ' || text[digits + 2] != ' ') return false;
  line.type = text[digits + 1];
  line.name = text.substr(digits + 3);
  line.module = {};
  const size_t tab = line.name.find('\t');
  if (tab == std::string_view::npos) return true;
  std::string_view module = line.name.substr(tab + 1);
  line.name = line.name.substr(0, tab);
  if (module.size() < 3 || module.front() != '[' || module.back() != ']') return false;
  line.module = module.substr(1, module.size() - 2);
  return !line.name.empty();
}

/// What shows whether addresses are addresses.
struct Evidence {
  bool any_address = false;       ///< one that is not zero
  std::optional<uint64_t> stext;  ///< the address of `_stext`
  bool any_kernel_text = false;   ///< text in the kernel's half

  void Add(const Line& line) {
    any_address = any_address || line.address != 0;
    if (!line.module.empty()) return;
    const bool is_text = line.type == 'T' || line.type == 't';
    any_kernel_text = any_kernel_text || (is_text && line.address >> 63 != 0);
    if (line.name == "_stext") stext = line.address;
  }
};

/// First lines may be zero for good (per-CPU symbols), so `_stext` decides.
Status CheckAddresses(const Evidence& evidence, const VmcoreInfo& info) {
  if (!evidence.any_address || evidence.stext == uint64_t{0}) {
    return MakeError(ErrorCode::kPermission,
                     std::string("kallsyms hides its addresses (all are zero)") + kCure);
  }
  if (evidence.stext ? *evidence.stext >> 63 == 0 : !evidence.any_kernel_text) {
    return MakeError(ErrorCode::kPermission,
                     std::string("kallsyms has hashed addresses: its text lies outside of the "
                                 "kernel's half of memory") +
                         kCure);
  }
  const auto known = info.Symbol("_stext");
  if (evidence.stext && known && *known != *evidence.stext) {
    return MakeError(ErrorCode::kPermission,
                     "kallsyms has _stext at " + HexAddress(*evidence.stext) + ", VMCOREINFO at " +
                         HexAddress(*known) + ": its addresses are hashed, or of another boot" +
                         kCure);
  }
  return {};
}

Error BadLine(size_t number, const std::string& what) {
  return MakeError(ErrorCode::kCorrupt, "kallsyms, line " + std::to_string(number) + ": " + what);
}

}  // namespace

Result<SymbolTable> ParseKallsyms(std::string_view text, const VmcoreInfo& info) {
  // A line without its end may have lost a part of its name: better none than a wrong one.
  text = text.substr(0, text.rfind('\n') + 1);
  SymbolTable::Builder builder;
  builder.Reserve(text.size() / kUsualLineBytes, text.size());
  Evidence evidence;
  Line line;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t length = text.find('\n');
    const std::string_view whole = text.substr(0, length);
    text.remove_prefix(length + 1);
    if (!ParseLine(whole, line)) return BadLine(number, "not \"ADDRESS TYPE NAME\"");
    if (std::memchr(whole.data(), 0, whole.size()) != nullptr) {
      return BadLine(number, "a NUL within it");
    }
    evidence.Add(line);
    auto added = builder.Add(line.address, line.type, line.name, line.module);
    if (!added.ok()) {
      return std::move(added.error()).WithContext("kallsyms, line " + std::to_string(number));
    }
  }
  if (builder.size() == 0) return MakeError(ErrorCode::kCorrupt, "kallsyms has no symbols");
  KCD_TRY(CheckAddresses(evidence, info));
  return std::move(builder).Build();
}

}  // namespace kcoredump
