// SPDX-License-Identifier: MIT
//
// The registers of x86_64 as GDB and LLDB are told of them: names and order of the target
// description are GDB's own (gdb/features/i386/64bit-core.xml, 64bit-segments.xml).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kcoredump {

/// Those that a kernel's notes and stacks can tell, as their index in RegisterValues. The others
/// (x87) are always unavailable.
enum RegisterIndex : size_t {
  kRax,
  kRbx,
  kRcx,
  kRdx,
  kRsi,
  kRdi,
  kRbp,
  kRsp,
  kR8,
  kR9,
  kR10,
  kR11,
  kR12,
  kR13,
  kR14,
  kR15,
  kRip,
  kEflags,
  kCs,
  kSs,
  kDs,
  kEs,
  kFs,
  kGs,
  kFsBase,
  kGsBase,
  kKnownRegisters
};

/// Nothing: not known.
using RegisterValues = std::array<std::optional<uint64_t>, kKnownRegisters>;

/// target.xml
[[nodiscard]] std::string TargetDescription();

/// Answer to `g`: all registers in the description's order, 'x' for what is not known.
[[nodiscard]] std::string AllRegisters(const RegisterValues& values);

/// Answer to `p`; nothing: there is no such number.
[[nodiscard]] std::optional<std::string> OneRegister(const RegisterValues& values, uint64_t number);

}  // namespace kcoredump
