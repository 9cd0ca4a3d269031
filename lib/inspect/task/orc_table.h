// SPDX-License-Identifier: MIT
//
// ORC: for every instruction of the kernel, where its caller's frame is (kernel:
// Documentation/arch/x86/orc-unwinder.rst, arch/x86/include/asm/orc_types.h). The tables lie in
// the kernel's memory, one for the kernel itself and one for each module.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kcoredump/result.h"
#include "space/memory_view.h"
#include "symbol/type_catalog.h"

namespace kcoredump {

/// A distribution's kernel has some 400,000.
inline constexpr uint64_t kMaxOrcEntries = 8 << 20;

/// What an address is counted from (ORC_REG_…).
enum class OrcBase : uint8_t {
  kUndefined,
  kPrevSp,
  kAx,
  kDx,
  kDi,
  kBp,
  kSp,
  kR10,
  kR13,
  kBpIndirect,
  kSpIndirect,
};

enum class OrcKind : uint8_t {
  kUndefined,
  kEnd,          ///< nothing called this code
  kCall,         ///< a return address stands right below the caller's frame
  kRegs,         ///< a whole struct pt_regs does
  kPartialRegs,  ///< only what the CPU itself pushes (from pt_regs.ip on)
};

struct OrcRule {
  OrcBase sp_base = OrcBase::kUndefined;
  OrcBase bp_base = OrcBase::kUndefined;
  int16_t sp_offset = 0;
  int16_t bp_offset = 0;
  OrcKind kind = OrcKind::kUndefined;
};

/// How this kernel packs struct orc_entry, which has changed several times: by BTF.
class OrcLayout {
 public:
  /// kNotFound: BTF does not describe it; kUnsupported: not as any kernel has it.
  [[nodiscard]] static Result<OrcLayout> Of(const TypeCatalog& types);

  [[nodiscard]] size_t entry_bytes() const { return entry_bytes_; }
  /// Newer kernels number the registers anew, which no type tells: many entries do.
  void LearnNumbers(std::span<const std::byte> entries);
  /// `entry` is of entry_bytes().
  [[nodiscard]] OrcRule Decode(std::span<const std::byte> entry) const;

 private:
  struct Bits {
    uint32_t first = 0;
    uint32_t count = 0;  ///< 0: this kernel has no such member
  };
  [[nodiscard]] static Bits Find(const TypeCatalog& types, const char* member);
  [[nodiscard]] static uint32_t Take(std::span<const std::byte> entry, const Bits& bits);

  size_t entry_bytes_ = 0;
  bool new_numbers_ = false;
  Bits sp_offset_;
  Bits bp_offset_;
  Bits sp_reg_;
  Bits bp_reg_;
  Bits type_;
  Bits end_;
};

/// A copy of one table. Immutable; any thread may call.
class OrcTable {
 public:
  /// `ips`: address of `count` distances to the instructions, from themselves; `entries`: of as
  /// many struct orc_entry. kLimitExceeded past kMaxOrcEntries; kUnreadable.
  [[nodiscard]] static Result<OrcTable> Read(MemoryView& kernel, const OrcLayout& layout,
                                             uint64_t ips, uint64_t entries, uint64_t count);

  /// As LearnNumbers, from the entries of this table.
  void LearnNumbers() { layout_.LearnNumbers(entries_); }
  [[nodiscard]] const OrcLayout& layout() const { return layout_; }

  /// The rule of the instruction at `pc`; nothing outside of the table.
  [[nodiscard]] std::optional<OrcRule> Find(uint64_t pc) const;

 private:
  explicit OrcTable(const OrcLayout& layout) : layout_(layout) {}
  [[nodiscard]] uint64_t AddressOf(size_t index) const;

  OrcLayout layout_;
  uint64_t ips_ = 0;
  std::vector<int32_t> distances_;
  std::vector<std::byte> entries_;
};

}  // namespace kcoredump
