// SPDX-License-Identifier: MIT
//
// Capstone's handle and its one instruction, owned. Only disassembler*.cc include this.
#pragma once

#include <capstone/capstone.h>

#include <memory>
#include <optional>
#include <span>

#include "inspect/code/disassembler.h"

namespace kcoredump {

/// For one thread.
class Capstone {
 public:
  /// kUnsupported: this libcapstone was built without the machine.
  [[nodiscard]] static Result<Capstone> Open(cs_arch arch, cs_mode mode);
  Capstone(Capstone&& other) noexcept;
  Capstone& operator=(Capstone&&) = delete;
  ~Capstone();

  [[nodiscard]] csh handle() const { return handle_; }
  void SetSyntax(AssemblySyntax syntax);
  /// The instruction that `bytes` begin with, with its details; valid until the next call. nullptr:
  /// none that Capstone knows.
  [[nodiscard]] const cs_insn* Decode(uint64_t address, std::span<const std::byte> bytes);

 private:
  Capstone(csh handle, cs_insn* instruction) : handle_(handle), instruction_(instruction) {}

  csh handle_;
  cs_insn* instruction_;
};

/// The size and the text of what Capstone decoded.
[[nodiscard]] DecodedInstruction TextOf(const cs_insn& instruction);
[[nodiscard]] bool InGroup(const cs_insn& instruction, unsigned group);
/// The last operand is where the instruction leads.
void SetTarget(uint64_t target, DecodedInstruction& out);

[[nodiscard]] Result<std::unique_ptr<Disassembler>> CreateX86Disassembler(AssemblySyntax syntax);
[[nodiscard]] Result<std::unique_ptr<Disassembler>> CreateAarch64Disassembler();

}  // namespace kcoredump
