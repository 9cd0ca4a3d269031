// SPDX-License-Identifier: MIT
//
// Which addresses a memory image holds and where: PT_LOAD headers, told apart.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/range.h"
#include "elf/elf_core.h"
#include "kcoredump/address.h"
#include "kcoredump/memory.h"

namespace kcoredump {

/// A PT_LOAD and what it is.
struct Segment {
  SegmentKind kind = SegmentKind::kRam;
  Range virt;
  uint64_t phys = 0;        ///< of virt.begin; meaningful for kRam and kKernelImage alone
  uint64_t offset = 0;      ///< in the file
  uint64_t file_bytes = 0;  ///< what lies beyond, up to virt.size(), the file leaves out

  [[nodiscard]] Range PhysRange() const { return {phys, phys + virt.size()}; }
};

/// Where the bytes of an address stand.
struct Extent {
  uint64_t offset = 0;  ///< in the file
  uint64_t bytes = 0;   ///< that follow each other from there
  bool in_file = true;  ///< false: the segment covers them, but the file leaves them out
};

/// Immutable, and so safe for any number of threads.
class MemoryMap {
 public:
  /// How program headers speak of memory that is not RAM.
  enum class Dialect : uint8_t {
    kKcore,  ///< /proc/kcore: p_paddr is −1 for all but RAM and the kernel image (464920104bf7)
    kDump,   ///< a dump's file: what has no p_paddr of its own is left out
  };

  /// kCorrupt: ranges that overflow, or two RAM segments that claim the same memory.
  [[nodiscard]] static Result<MemoryMap> Build(const ElfCore& core, Dialect dialect,
                                               uint64_t page_bytes);

  /// The map of an image that has physical addresses alone. Of `ram`, phys, offset, file_bytes and
  /// the size of virt count; parts of pages at either end are left out. kCorrupt: ranges that
  /// overflow or overlap.
  [[nodiscard]] static Result<MemoryMap> OfPhysical(std::vector<Segment> ram, uint64_t page_bytes);

  /// RAM, sorted by physical address, no two overlapping, whole pages.
  [[nodiscard]] const std::vector<Segment>& ram() const { return ram_; }
  /// Everything else: kernel image (which aliases RAM), vmalloc, modules, vmemmap.
  [[nodiscard]] const std::vector<Segment>& others() const { return others_; }
  [[nodiscard]] uint64_t ram_bytes() const;
  /// The physical ranges of ram(), joined where they touch.
  [[nodiscard]] std::vector<Range> RamRanges() const;

  [[nodiscard]] std::optional<Extent> Find(Location at) const;
  /// The RAM segment that holds a physical address; nullptr: none does.
  [[nodiscard]] const Segment* FindRam(uint64_t phys) const;
  /// The physical address of memory that a RAM segment or the kernel image maps.
  [[nodiscard]] std::optional<PhysAddr> ToPhysical(Location at) const;

 private:
  [[nodiscard]] const Segment* FindVirtual(uint64_t virt) const;

  std::vector<Segment> ram_;
  std::vector<Segment> others_;
  std::vector<uint32_t> ram_by_virt_;  ///< indexes into ram_
  bool has_virtual_ = true;
};

}  // namespace kcoredump
