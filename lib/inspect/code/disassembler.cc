// SPDX-License-Identifier: MIT
#include "inspect/code/disassembler.h"

#include <elf.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/try.h"
#include "inspect/code/disassembler_capstone.h"

namespace kcoredump {

Result<Capstone> Capstone::Open(cs_arch arch, cs_mode mode) {
  csh handle = 0;
  if (const cs_err error = cs_open(arch, mode, &handle); error != CS_ERR_OK) {
    return MakeError(ErrorCode::kUnsupported, std::string("Capstone: ") + cs_strerror(error));
  }
  cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
  cs_insn* instruction = cs_malloc(handle);
  if (instruction == nullptr) {
    cs_close(&handle);
    return MakeError(ErrorCode::kLimitExceeded, "Capstone: out of memory");
  }
  return Capstone(handle, instruction);
}

Capstone::Capstone(Capstone&& other) noexcept
    : handle_(std::exchange(other.handle_, 0)),
      instruction_(std::exchange(other.instruction_, nullptr)) {}

Capstone::~Capstone() {
  if (instruction_ != nullptr) cs_free(instruction_, 1);
  if (handle_ != 0) cs_close(&handle_);
}

void Capstone::SetSyntax(AssemblySyntax syntax) {
  cs_option(handle_, CS_OPT_SYNTAX,
            syntax == AssemblySyntax::kAtt ? CS_OPT_SYNTAX_ATT : CS_OPT_SYNTAX_INTEL);
}

const cs_insn* Capstone::Decode(uint64_t address, std::span<const std::byte> bytes) {
  const auto* code = reinterpret_cast<const uint8_t*>(bytes.data());
  size_t left = bytes.size();
  return cs_disasm_iter(handle_, &code, &left, &address, instruction_) ? instruction_ : nullptr;
}

DecodedInstruction TextOf(const cs_insn& instruction) {
  DecodedInstruction out;
  out.bytes = instruction.size;
  out.mnemonic = instruction.mnemonic;
  out.operands = instruction.op_str;
  return out;
}

bool InGroup(const cs_insn& instruction, unsigned group) {
  const cs_detail& detail = *instruction.detail;
  const auto groups = std::span(detail.groups).first(detail.groups_count);
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

void SetTarget(uint64_t target, DecodedInstruction& out) {
  out.target = target;
  const size_t comma = out.operands.rfind(", ");
  out.target_at = comma == std::string::npos ? 0 : comma + 2;
}

Result<std::unique_ptr<Disassembler>> Disassembler::Create(uint16_t machine,
                                                           AssemblySyntax syntax) {
  if (machine == EM_X86_64) return CreateX86Disassembler(syntax);
  if (machine == EM_AARCH64) return CreateAarch64Disassembler();
  return MakeError(ErrorCode::kUnsupported, "code of this machine (ELF e_machine " +
                                                std::to_string(machine) +
                                                ") is not known: x86_64 and aarch64 are");
}

}  // namespace kcoredump
