// SPDX-License-Identifier: MIT
//
// Instructions of aarch64 that Capstone 4.0.2 (Debian 12) does not know, or does not know by name,
// as kernels use them (Arm ARM DDI 0487, C4: A64 instruction set encoding).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace kcoredump {

struct Aarch64Instruction {
  std::string mnemonic;
  std::string operands;
  bool writes_register = false;
};

/// Hints (landing pads, pointer authentication), udf, sb, and the atomic instructions of Armv8.1.
[[nodiscard]] std::optional<Aarch64Instruction> FindAarch64Supplement(uint32_t word);

}  // namespace kcoredump
