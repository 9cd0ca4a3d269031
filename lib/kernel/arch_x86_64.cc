// SPDX-License-Identifier: MIT
//
// x86_64: four and five levels of page tables (Intel SDM volume 3, 4.5; kernel:
// arch/x86/include/asm/pgtable_types.h, Documentation/arch/x86/x86_64/mm.rst).
#include <elf.h>

#include <array>
#include <cstring>

#include "base/error.h"
#include "kernel/arch.h"

namespace kcoredump {

namespace {

constexpr uint64_t kPresent = 1 << 0;
constexpr uint64_t kPageSize = 1 << 7;  ///< PSE: a page instead of a table
/// _PAGE_PROTNONE: memory that the process may not touch for now, though it is there. Swap entries
/// leave the bit clear.
constexpr uint64_t kProtNone = 1 << 8;
/// Bits 51:12.
constexpr uint64_t kAddressMask = 0x000ffffffffff000;
constexpr uint64_t kImageStart = 0xffffffff80000000;  ///< __START_KERNEL_map
constexpr uint64_t kImageBytes = 1 << 30;             ///< KERNEL_IMAGE_SIZE at its largest
constexpr unsigned kHugestPageShift = 30;

/// struct elf_prstatus, and in its pr_reg the order of struct user_regs_struct (kernel:
/// include/uapi/linux/elfcore.h, arch/x86/include/asm/user_64.h).
constexpr size_t kPrPidOffset = 32;
constexpr size_t kPrRegOffset = 112;
constexpr size_t kRipIndex = 16;
constexpr size_t kRspIndex = 19;
constexpr size_t kPrRegBytes = 27 * 8;

struct FlagName {
  unsigned bit;
  std::string_view name;
};
constexpr std::array kFlags = {
    FlagName{0, "PRESENT"}, FlagName{1, "RW"},     FlagName{2, "USER"},
    FlagName{3, "PWT"},     FlagName{4, "PCD"},    FlagName{5, "ACCESSED"},
    FlagName{6, "DIRTY"},   FlagName{8, "GLOBAL"}, FlagName{63, "NX"},
};

class X8664 final : public Architecture {
 public:
  uint16_t machine() const override { return EM_X86_64; }
  std::string_view name() const override { return "x86_64"; }

  Result<Paging> PagingOf(const VmcoreInfo& info) const override {
    Paging paging;
    const bool five_levels = info.Number("pgtable_l5_enabled").value_or(0) != 0;
    if (five_levels) {
      paging.levels = {{"PGD", 48}, {"P4D", 39}, {"PUD", 30}, {"PMD", 21}, {"PTE", 12}};
      paging.virtual_bits = 57;
    } else {
      paging.levels = {{"PGD", 39}, {"PUD", 30}, {"PMD", 21}, {"PTE", 12}};
      paging.virtual_bits = 48;
    }
    paging.encryption_mask = static_cast<uint64_t>(info.Number("sme_mask").value_or(0));
    return paging;
  }

  std::optional<PhysAddr> ImageToPhysical(const VmcoreInfo& info, VirtAddr virt) const override {
    const auto phys_base = info.Number("phys_base");
    if (!phys_base || virt.value < kImageStart || virt.value - kImageStart >= kImageBytes) {
      return std::nullopt;
    }
    return PhysAddr{virt.value - kImageStart + static_cast<uint64_t>(*phys_base)};
  }

  std::optional<VirtAddr> RootTable(const VmcoreInfo& info) const override {
    // init_top_pgt since 4.13 (65ade2f872b4); before, init_level4_pgt.
    for (const char* name : {"init_top_pgt", "swapper_pg_dir", "init_level4_pgt"}) {
      if (const auto address = info.Symbol(name)) return VirtAddr{*address};
    }
    return std::nullopt;
  }

  DecodedEntry Decode(const Paging& paging, size_t level, uint64_t entry) const override {
    const unsigned shift = paging.levels[level].shift;
    const bool last = level + 1 == paging.levels.size();
    const bool huge = !last && (entry & kPageSize) != 0;
    const bool leaf = last || huge;
    uint64_t address = entry & kAddressMask & ~paging.encryption_mask;
    if ((entry & kPresent) == 0) {
      if ((entry & kProtNone) == 0 || !leaf) return {};
      // The frame number of such an entry is inverted against L1TF (6b28baca9b1f, 4.18).
      address = ~entry & kAddressMask & ~paging.encryption_mask;
    }
    if (huge && shift > kHugestPageShift) return {.kind = EntryKind::kForged, .target = {}};
    // Bit 12 of a huge page is PAT, and the others below its size are reserved.
    if (leaf) address &= ~(paging.levels[level].page_bytes() - 1);
    return {.kind = leaf ? EntryKind::kPage : EntryKind::kTable, .target = {address}};
  }

  std::vector<std::string_view> EntryFlags(const Paging& paging, size_t level,
                                           uint64_t entry) const override {
    const bool last = level + 1 == paging.levels.size();
    std::vector<std::string_view> names;
    for (const FlagName& flag : kFlags) {
      if ((entry >> flag.bit & 1) == 0) continue;
      const bool protnone = flag.bit == 8 && (entry & kPresent) == 0;
      names.push_back(protnone ? "PROTNONE" : flag.name);
    }
    if ((entry & kPageSize) != 0) names.push_back(last ? "PAT" : "PSE");
    if ((entry & paging.encryption_mask) != 0) names.push_back("ENCRYPTED");
    return names;
  }

  std::optional<CpuRegisters> RegistersOf(std::span<const std::byte> prstatus) const override {
    CpuRegisters registers;
    const auto read = [&](size_t offset, auto& value) {
      const auto bytes = std::as_writable_bytes(std::span(&value, 1));
      if (offset + bytes.size() > prstatus.size()) return false;
      std::memcpy(bytes.data(), prstatus.data() + offset, bytes.size());
      return true;
    };
    const bool whole = read(kPrPidOffset, registers.pid) &&
                       read(kPrRegOffset + 8 * kRipIndex, registers.instruction_pointer) &&
                       read(kPrRegOffset + 8 * kRspIndex, registers.stack_pointer);
    if (prstatus.size() >= kPrRegOffset + kPrRegBytes) {
      registers.general = prstatus.subspan(kPrRegOffset, kPrRegBytes);
    }
    return whole ? std::optional(registers) : std::nullopt;
  }

  bool IsKernelAddress(uint64_t virt) const override { return virt >> 63 != 0; }
};

const X8664 kInstance;

}  // namespace

const Architecture& kX8664 = kInstance;

}  // namespace kcoredump
