// SPDX-License-Identifier: MIT
//
// aarch64 (Arm ARM DDI 0487, C4: A64 instruction set encoding).
#include <algorithm>
#include <cstring>

#include "base/try.h"
#include "inspect/code/aarch64_supplement.h"
#include "inspect/code/disassembler_capstone.h"

namespace kcoredump {

namespace {

constexpr size_t kWordBytes = 4;

/// w3 is half of x3: who writes one writes the other.
unsigned WholeRegister(unsigned reg) {
  if (reg == ARM64_REG_W29) return ARM64_REG_X29;
  if (reg == ARM64_REG_W30) return ARM64_REG_X30;
  if (reg >= ARM64_REG_W0 && reg <= ARM64_REG_W28) return ARM64_REG_X0 + (reg - ARM64_REG_W0);
  return reg;
}

class Aarch64Disassembler final : public Disassembler {
 public:
  explicit Aarch64Disassembler(Capstone capstone) : capstone_(std::move(capstone)) {}

  std::string_view machine_name() const override { return "aarch64"; }
  size_t step_bytes() const override { return kWordBytes; }

  std::optional<DecodedInstruction> Decode(uint64_t address,
                                           std::span<const std::byte> bytes) override {
    if (bytes.size() < kWordBytes) return std::nullopt;
    if (address != next_) pages_.clear();
    next_ = address + kWordBytes;
    uint32_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof(word));
    if (auto supplement = FindAarch64Supplement(word)) {
      DecodedInstruction out;
      out.bytes = kWordBytes;
      out.mnemonic = std::move(supplement->mnemonic);
      out.operands = std::move(supplement->operands);
      if (supplement->writes_register) pages_.clear();
      return out;
    }
    const cs_insn* found = capstone_.Decode(address, bytes.first(kWordBytes));
    if (found == nullptr) {
      pages_.clear();
      return std::nullopt;
    }
    DecodedInstruction out = Describe(*found);
    FollowPages(*found, out);
    return out;
  }

 private:
  /// What adrp put into a register.
  struct Page {
    unsigned reg = 0;
    uint64_t address = 0;
  };

  static std::span<const cs_arm64_op> OperandsOf(const cs_insn& instruction) {
    const cs_arm64& arm64 = instruction.detail->arm64;
    return std::span(arm64.operands).first(arm64.op_count);
  }

  static bool IsJump(const cs_insn& instruction) {
    return InGroup(instruction, ARM64_GRP_JUMP) || InGroup(instruction, ARM64_GRP_CALL) ||
           InGroup(instruction, ARM64_GRP_RET);
  }

  static DecodedInstruction Describe(const cs_insn& instruction) {
    DecodedInstruction out = TextOf(instruction);
    out.is_nop = out.is_padding = instruction.id == ARM64_INS_NOP;
    const auto operands = OperandsOf(instruction);
    if (operands.empty() || operands.back().type != ARM64_OP_IMM) return out;
    const auto value = static_cast<uint64_t>(operands.back().imm);
    const bool literal = instruction.id == ARM64_INS_LDR || instruction.id == ARM64_INS_LDRSW ||
                         instruction.id == ARM64_INS_ADR;
    if (IsJump(instruction)) {
      SetTarget(value, out);
    } else if (literal && operands.size() == 2) {
      out.references.push_back({.address = value, .symbol = {}, .per_cpu = false});
    }
    return out;
  }

  /// adrp gives a page, and the add, load or store that follows the place in it. A jump ends it:
  /// what comes then may be reached from elsewhere.
  void FollowPages(const cs_insn& instruction, DecodedInstruction& out) {
    AddReference(instruction, out);
    if (IsJump(instruction)) return pages_.clear();
    cs_regs read;
    cs_regs written;
    uint8_t read_count = 0;
    uint8_t written_count = 0;
    if (cs_regs_access(capstone_.handle(), &instruction, read, &read_count, written,
                       &written_count) != CS_ERR_OK) {
      return pages_.clear();
    }
    const auto writes = std::span(written).first(written_count);
    std::erase_if(pages_, [&](const Page& page) {
      return std::any_of(writes.begin(), writes.end(),
                         [&](uint16_t reg) { return WholeRegister(reg) == page.reg; });
    });
    const auto operands = OperandsOf(instruction);
    if (instruction.id == ARM64_INS_ADRP && operands.size() == 2) {
      pages_.push_back({operands[0].reg, static_cast<uint64_t>(operands[1].imm)});
    }
  }

  void AddReference(const cs_insn& instruction, DecodedInstruction& out) const {
    const auto operands = OperandsOf(instruction);
    const auto add = [&](unsigned reg, int64_t offset) {
      const auto page = std::find_if(pages_.begin(), pages_.end(),
                                     [reg](const Page& known) { return known.reg == reg; });
      if (page == pages_.end()) return;
      const uint64_t address = page->address + static_cast<uint64_t>(offset);
      out.references.push_back({.address = address, .symbol = {}, .per_cpu = false});
    };
    if (instruction.id == ARM64_INS_ADD && operands.size() == 3 &&
        operands[1].type == ARM64_OP_REG && operands[2].type == ARM64_OP_IMM &&
        operands[2].shift.type == ARM64_SFT_INVALID) {
      add(operands[1].reg, operands[2].imm);
    }
    for (const cs_arm64_op& operand : operands) {
      if (operand.type == ARM64_OP_MEM && operand.mem.index == ARM64_REG_INVALID) {
        add(operand.mem.base, operand.mem.disp);
      }
    }
  }

  Capstone capstone_;
  std::vector<Page> pages_;
  uint64_t next_ = 0;  ///< the address behind the last instruction
};

}  // namespace

Result<std::unique_ptr<Disassembler>> CreateAarch64Disassembler() {
  KCD_ASSIGN(Capstone capstone, Capstone::Open(CS_ARCH_ARM64, CS_MODE_LITTLE_ENDIAN));
  return std::unique_ptr<Disassembler>(std::make_unique<Aarch64Disassembler>(std::move(capstone)));
}

}  // namespace kcoredump
