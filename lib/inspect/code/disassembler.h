// SPDX-License-Identifier: MIT
//
// One instruction at a time. Capstone does the work (only the files disassembler* see it), and what
// Debian 12's Capstone 4 does not know is added here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kcoredump/dis.h"
#include "kcoredump/result.h"

namespace kcoredump {

/// No instruction of a machine that is known here is longer (Intel SDM volume 2, 2.3.11).
inline constexpr size_t kMaxInstructionBytes = 15;

/// What an instruction does that a reader wants to follow.
struct DecodedInstruction {
  size_t bytes = 0;
  std::string mnemonic;
  std::string operands;
  std::optional<uint64_t> target;  ///< of a direct call or jump: the last operand,
  size_t target_at = 0;            ///< which begins here in `operands`
  bool is_nop = false;
  bool is_sealed_landing_pad = false;     ///< a nop that only the kernel writes, over endbr64
  bool is_padding = false;                ///< what compilers put behind functions: nop, int3
  std::vector<CodeReference> references;  ///< without symbols
};

/// Holds Capstone's state: for one thread.
class Disassembler {
 public:
  /// `machine`: EM_…; kUnsupported for one that is not known.
  [[nodiscard]] static Result<std::unique_ptr<Disassembler>> Create(uint16_t machine,
                                                                    AssemblySyntax syntax);
  virtual ~Disassembler() = default;

  [[nodiscard]] virtual std::string_view machine_name() const = 0;
  /// Instructions stand at multiples of this, and after bytes that are none the next is tried so
  /// much further.
  [[nodiscard]] virtual size_t step_bytes() const = 0;
  /// The instruction that `bytes` begin with; nothing: none does, or not all of it is there.
  /// Of aarch64, whose code builds addresses in two instructions, the second tells a reference when
  /// the first was asked about before, with no jump between.
  [[nodiscard]] virtual std::optional<DecodedInstruction> Decode(
      uint64_t address, std::span<const std::byte> bytes) = 0;
};

}  // namespace kcoredump
