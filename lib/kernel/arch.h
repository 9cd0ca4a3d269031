// SPDX-License-Identifier: MIT
//
// What differs from machine to machine: where the kernel image lies and how page tables read. One
// file an architecture. To add one: write arch_NAME.cc, declare its instance here, list it in
// kArchitectures (arch.cc); no other file changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kcoredump/address.h"
#include "kcoredump/result.h"
#include "kernel/vmcoreinfo.h"

namespace kcoredump {

/// One level of page tables, the root first.
struct PagingLevel {
  std::string_view name;  ///< "PGD", "P4D", "PUD", "PMD", "PTE"
  unsigned shift = 0;     ///< the lowest address bit that the index takes
  unsigned index_bits = 9;

  [[nodiscard]] uint64_t IndexOf(uint64_t virt) const {
    return (virt >> shift) & ((uint64_t{1} << index_bits) - 1);
  }
  [[nodiscard]] uint64_t page_bytes() const { return uint64_t{1} << shift; }
};

/// How the tables of one kernel read.
struct Paging {
  std::vector<PagingLevel> levels;
  unsigned virtual_bits = 48;    ///< an address is canonical when the bits above repeat the top one
  uint64_t encryption_mask = 0;  ///< bits of an entry that are no address (AMD SME, TDX)

  [[nodiscard]] bool IsCanonical(uint64_t virt) const;
};

enum class EntryKind : uint8_t {
  kAbsent,  ///< not present: nothing, swapped out or migrating
  kTable,   ///< the next level's table
  kPage,    ///< memory, of the level's page size
  kForged,  ///< bits that no machine accepts: a leaf where none can be
};

struct DecodedEntry {
  EntryKind kind = EntryKind::kAbsent;
  PhysAddr target;  ///< of the next table or of the page
};

/// What a CPU was doing, from its NT_PRSTATUS note.
struct CpuRegisters {
  uint64_t instruction_pointer = 0;
  uint64_t stack_pointer = 0;
  uint32_t pid = 0;
  /// All general registers in the order of the machine's struct user_regs_struct, 8 bytes each;
  /// inside of the note. Empty: the note has not all of them.
  std::span<const std::byte> general;
};

/// Stateless; any thread may call.
class Architecture {
 public:
  virtual ~Architecture() = default;
  [[nodiscard]] virtual uint16_t machine() const = 0;  ///< EM_…
  [[nodiscard]] virtual std::string_view name() const = 0;

  [[nodiscard]] virtual Result<Paging> PagingOf(const VmcoreInfo& info) const = 0;
  /// The physical address of kernel image memory, by linear arithmetic; nothing when `virt` is not
  /// in the image or VMCOREINFO does not tell.
  [[nodiscard]] virtual std::optional<PhysAddr> ImageToPhysical(const VmcoreInfo& info,
                                                                VirtAddr virt) const = 0;
  /// The kernel's root table, a virtual address in the image.
  [[nodiscard]] virtual std::optional<VirtAddr> RootTable(const VmcoreInfo& info) const = 0;
  [[nodiscard]] virtual DecodedEntry Decode(const Paging& paging, size_t level,
                                            uint64_t entry) const = 0;
  /// "PRESENT RW USER …", as the field names the bits.
  [[nodiscard]] virtual std::vector<std::string_view> EntryFlags(const Paging& paging, size_t level,
                                                                 uint64_t entry) const = 0;
  /// `prstatus`: the data of an NT_PRSTATUS note (kernel: include/linux/elfcore.h, struct
  /// elf_prstatus). Nothing: too short.
  [[nodiscard]] virtual std::optional<CpuRegisters> RegistersOf(
      std::span<const std::byte> prstatus) const = 0;
  /// Whether an address belongs to the kernel's half.
  [[nodiscard]] virtual bool IsKernelAddress(uint64_t virt) const = 0;
};

extern const Architecture& kX8664;

/// Every one that is known.
[[nodiscard]] std::span<const Architecture* const> AllArchitectures();

/// nullptr: page tables of this machine are not known.
[[nodiscard]] const Architecture* FindArchitecture(uint16_t machine);

}  // namespace kcoredump
