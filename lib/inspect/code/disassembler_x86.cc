// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>

#include "base/try.h"
#include "inspect/code/disassembler_capstone.h"
#include "inspect/code/x86_supplement.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// Numbers next to zero are errors and masks.
constexpr uint64_t kFirstKernelAddress = uint64_t{1} << 63;
constexpr uint64_t kLastPageOfAll = ~uint64_t{0xfff};

bool MayBeKernelAddress(uint64_t value) {
  return value >= kFirstKernelAddress && value < kLastPageOfAll;
}

/// What the kernel writes over the landing pads that nothing jumps to (kernel:
/// arch/x86/include/asm/ibt.h, gen_endbr_poison); compilers emit neither.
constexpr std::array<std::array<uint8_t, 4>, 2> kSealed = {
    std::array<uint8_t, 4>{0x0f, 0x1f, 0x40, 0xd6}, std::array<uint8_t, 4>{0x66, 0x0f, 0x1f, 0x00}};

bool IsSealed(const cs_insn& instruction) {
  return instruction.size == 4 &&
         std::any_of(kSealed.begin(), kSealed.end(), [&](const auto& sealed) {
           return std::equal(sealed.begin(), sealed.end(), instruction.bytes);
         });
}

class X86Disassembler final : public Disassembler {
 public:
  explicit X86Disassembler(Capstone capstone) : capstone_(std::move(capstone)) {}

  std::string_view machine_name() const override { return "x86_64"; }
  size_t step_bytes() const override { return 1; }

  std::optional<DecodedInstruction> Decode(uint64_t address,
                                           std::span<const std::byte> bytes) override {
    if (const auto supplement = FindX86Supplement(bytes)) return Describe(address, *supplement);
    if (const cs_insn* found = capstone_.Decode(address, bytes)) return Describe(*found);
    const auto length = X86VectorLength(bytes);
    if (!length) return std::nullopt;
    DecodedInstruction out;
    out.bytes = *length;
    out.mnemonic = bytes[0] == std::byte{0x62} ? "(evex)" : "(vex)";
    return out;
  }

 private:
  DecodedInstruction Describe(uint64_t address, const SupplementInstruction& supplement) {
    DecodedInstruction out;
    if (!supplement.twin.empty()) {
      const uint64_t end = address + supplement.bytes;
      const cs_insn* twin = capstone_.Decode(end - supplement.twin.size(), supplement.twin);
      if (twin != nullptr) out = Describe(*twin);
    }
    out.bytes = supplement.bytes;
    out.mnemonic = supplement.mnemonic;
    return out;
  }

  DecodedInstruction Describe(const cs_insn& instruction) {
    DecodedInstruction out = TextOf(instruction);
    out.is_nop = instruction.id == X86_INS_NOP;
    out.is_sealed_landing_pad = IsSealed(instruction);
    out.is_padding = out.is_nop || instruction.id == X86_INS_INT3;
    const cs_x86& x86 = instruction.detail->x86;
    for (const cs_x86_op& operand : std::span(x86.operands).first(x86.op_count)) {
      if (operand.type == X86_OP_MEM) AddMemory(instruction, operand, out);
      if (operand.type != X86_OP_IMM) continue;
      if (InGroup(instruction, X86_GRP_BRANCH_RELATIVE)) {
        SetTarget(static_cast<uint64_t>(operand.imm), out);
      } else if (operand.size == 8) {
        AddConstant(operand.imm, out);
      }
    }
    return out;
  }

  /// Memory beside the instruction pointer, at a constant address, or in a table at one.
  static void AddMemory(const cs_insn& instruction, const cs_x86_op& operand,
                        DecodedInstruction& out) {
    const x86_op_mem& memory = operand.mem;
    const bool relative = memory.base == X86_REG_RIP;
    if (instruction.id == X86_INS_NOP || (!relative && memory.base != X86_REG_INVALID)) return;
    auto address = static_cast<uint64_t>(memory.disp);
    if (relative) address += instruction.address + instruction.size;
    // x86_64 kernels keep each CPU's own variables behind %gs.
    const bool per_cpu = memory.segment == X86_REG_GS;
    if (relative || per_cpu || MayBeKernelAddress(address)) {
      out.references.push_back({.address = address, .symbol = {}, .per_cpu = per_cpu});
    }
  }

  /// Capstone writes them as negative numbers, which nobody knows as addresses.
  static void AddConstant(int64_t value, DecodedInstruction& out) {
    const auto address = static_cast<uint64_t>(value);
    if (!MayBeKernelAddress(address)) return;
    out.references.push_back({.address = address, .symbol = {}, .per_cpu = false});
    const std::string negative = "-" + Hex(-address);
    const size_t at = out.operands.find(negative);
    if (at != std::string::npos) out.operands.replace(at, negative.size(), HexAddress(address));
  }

  Capstone capstone_;
};

}  // namespace

Result<std::unique_ptr<Disassembler>> CreateX86Disassembler(AssemblySyntax syntax) {
  KCD_ASSIGN(Capstone capstone, Capstone::Open(CS_ARCH_X86, CS_MODE_64));
  capstone.SetSyntax(syntax);
  return std::unique_ptr<Disassembler>(std::make_unique<X86Disassembler>(std::move(capstone)));
}

}  // namespace kcoredump
