// SPDX-License-Identifier: MIT
#include "serve/registers.h"

#include <vector>

#include "serve/packet.h"

namespace kcoredump {

namespace {

struct RegisterInfo {
  std::string_view name;
  std::string_view type;
  size_t bytes = 0;
  std::optional<size_t> known;  ///< its RegisterIndex
};

constexpr std::array<std::string_view, kKnownRegisters> kNames = {
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp",     "rsp",    "r8",
    "r9",  "r10", "r11", "r12", "r13", "r14", "r15",     "rip",    "eflags",
    "cs",  "ss",  "ds",  "es",  "fs",  "gs",  "fs_base", "gs_base"};

/// What the core feature must have besides, and no kernel stack tells.
constexpr std::array<std::string_view, 8> kX87 = {"st0", "st1", "st2", "st3",
                                                  "st4", "st5", "st6", "st7"};
constexpr std::array<std::string_view, 8> kX87Control = {"fctrl", "fstat", "ftag",  "fiseg",
                                                         "fioff", "foseg", "fooff", "fop"};

std::string_view TypeOf(size_t index) {
  switch (index) {
    case kRsp:
    case kRbp:
      return "data_ptr";
    case kRip:
      return "code_ptr";
    case kEflags:
      return "i386_eflags";
    case kFsBase:
    case kGsBase:
      return "int";
    default:
      return index >= kCs && index <= kGs ? "int32" : "int64";
  }
}

/// In the order of the description.
const std::vector<RegisterInfo>& Registers() {
  static const std::vector<RegisterInfo> registers = [] {
    std::vector<RegisterInfo> all;
    const auto add_known = [&](size_t index) {
      const size_t bytes = index >= kEflags && index <= kGs ? 4 : 8;
      all.push_back({kNames[index], TypeOf(index), bytes, index});
    };
    for (size_t index = kRax; index <= kGs; ++index) add_known(index);
    for (const std::string_view name : kX87) all.push_back({name, "i387_ext", 10, std::nullopt});
    for (const std::string_view name : kX87Control) all.push_back({name, "int", 4, std::nullopt});
    add_known(kFsBase);
    add_known(kGsBase);
    return all;
  }();
  return registers;
}

std::string Encode(const RegisterInfo& info, const RegisterValues& values) {
  if (!info.known || !values[*info.known]) return std::string(2 * info.bytes, 'x');
  std::string bytes;
  for (size_t i = 0; i < info.bytes; ++i) {
    bytes += static_cast<char>(*values[*info.known] >> 8 * i & 0xff);
  }
  return HexOf(bytes);
}

/// gdb/features/i386/64bit-core.xml
constexpr std::string_view kHead = R"(<?xml version="1.0"?>
<!DOCTYPE target SYSTEM "gdb-target.dtd">
<target version="1.0">
<architecture>i386:x86-64</architecture>
<feature name="org.gnu.gdb.i386.core">
<flags id="i386_eflags" size="4">
<field name="" start="22" end="31"/>
<field name="CF" start="0" end="0"/><field name="" start="1" end="1"/>
<field name="PF" start="2" end="2"/><field name="AF" start="4" end="4"/>
<field name="ZF" start="6" end="6"/><field name="SF" start="7" end="7"/>
<field name="TF" start="8" end="8"/><field name="IF" start="9" end="9"/>
<field name="DF" start="10" end="10"/><field name="OF" start="11" end="11"/>
<field name="NT" start="14" end="14"/><field name="RF" start="16" end="16"/>
<field name="VM" start="17" end="17"/><field name="AC" start="18" end="18"/>
<field name="VIF" start="19" end="19"/><field name="VIP" start="20" end="20"/>
<field name="ID" start="21" end="21"/>
</flags>
)";

}  // namespace

std::string TargetDescription() {
  std::string text(kHead);
  for (const RegisterInfo& info : Registers()) {
    if (info.known == kFsBase) {
      text += "</feature>\n<feature name=\"org.gnu.gdb.i386.segments\">\n";
    }
    text += "<reg name=\"" + std::string(info.name) + "\" bitsize=\"" +
            std::to_string(info.bytes * 8) + "\" type=\"" + std::string(info.type) + "\"/>\n";
  }
  return text + "</feature>\n</target>\n";
}

std::string AllRegisters(const RegisterValues& values) {
  std::string text;
  for (const RegisterInfo& info : Registers()) text += Encode(info, values);
  return text;
}

std::optional<std::string> OneRegister(const RegisterValues& values, uint64_t number) {
  if (number >= Registers().size()) return std::nullopt;
  return Encode(Registers()[number], values);
}

}  // namespace kcoredump
