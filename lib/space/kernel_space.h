// SPDX-License-Identifier: MIT
//
// Virtual addresses, the kernel's and a process's, read through physical memory.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/range.h"
#include "kernel/kernel_facts.h"
#include "source/memory_source.h"
#include "space/memory_view.h"
#include "space/page_walk.h"
#include "space/physical_space.h"

namespace kcoredump {

/// Virtual addresses that one piece of physical memory stands behind.
struct MappedRange {
  Range virt;
  PhysAddr phys;
};

/// Memory seen through page tables. For one thread. What it is made of must outlive it.
class PagedSpace : public MemoryView {
 public:
  PagedSpace(MemoryView& physical, const Architecture& arch, Paging paging, PhysAddr root,
             bool keep_translations);

  [[nodiscard]] Status Read(uint64_t address, std::span<std::byte> out) override;
  [[nodiscard]] Result<PageWalk> Walk(VirtAddr address);
  /// kUnreadable: not mapped. With the bytes of the mapping from there on.
  [[nodiscard]] Result<PhysAddr> Translate(VirtAddr address, uint64_t* bytes_left);
  /// What of `virt` is mapped, by address; tables that are damaged or missing map nothing. A step
  /// is a piece of contiguous memory or a gap. kCorrupt: more than `max_steps`.
  [[nodiscard]] Result<std::vector<MappedRange>> MappedRanges(const Range& virt,
                                                              uint64_t max_steps);
  /// The same memory and paging under another root table.
  [[nodiscard]] std::unique_ptr<PagedSpace> WithRoot(PhysAddr root) const;

 private:
  struct Translation {
    uint64_t virt_page = ~uint64_t{0};
    uint64_t phys_page = 0;
  };
  static constexpr size_t kTranslations = 1024;
  /// Entries of a last table that a long read needs next. A live kernel's serve one read only.
  struct Ahead {
    uint64_t begin = 0;  ///< the virtual address of the first one's page
    std::vector<uint64_t> entries;
  };
  /// What stands behind an address and those that follow it.
  struct Stretch {
    std::optional<PhysAddr> phys;  ///< nothing: not mapped
    uint64_t bytes = 0;            ///< physically contiguous, or all not mapped; at least one
  };
  [[nodiscard]] std::optional<DecodedEntry> EntryAhead(const Ahead& ahead, uint64_t page) const;
  [[nodiscard]] Result<Stretch> StretchAt(uint64_t address, uint64_t wanted, Ahead& ahead);
  void LookAhead(const WalkStep& last, uint64_t next_page, uint64_t wanted, Ahead& ahead);

  MemoryView& physical_;
  const Architecture& arch_;
  Paging paging_;
  PhysAddr root_;
  std::vector<Translation> translations_;  ///< by page number; empty: a live kernel's tables change
};

/// The kernel's addresses: the direct map and the image by the program headers, everything else
/// (vmalloc, modules, vmemmap) through the page tables. Where those cannot be had, kcore's own
/// vmalloc segments are the fallback. For one thread.
class KernelSpace : public MemoryView {
 public:
  /// Never fails: what is missing for page tables is said by paging_missing().
  KernelSpace(const MemorySource& source, const KernelFacts& facts, PhysicalSpace& physical);

  [[nodiscard]] Status Read(uint64_t address, std::span<std::byte> out) override;
  [[nodiscard]] Result<PhysAddr> Translate(VirtAddr address);
  /// kUnsupported: this image does not tell where its page tables are, and why.
  [[nodiscard]] Result<PageWalk> Walk(VirtAddr address);
  /// As PagedSpace's; nothing without page tables.
  [[nodiscard]] Result<std::vector<MappedRange>> MappedRanges(const Range& virt,
                                                              uint64_t max_steps);
  /// Another root, a process's, with this kernel's paging.
  [[nodiscard]] Result<std::unique_ptr<PagedSpace>> WithRoot(PhysAddr root);
  /// Empty: page tables are walked; otherwise why not.
  [[nodiscard]] const std::string& paging_missing() const { return paging_missing_; }

 private:
  void FindPageTables();
  [[nodiscard]] Status ReadThroughSource(uint64_t address, std::span<std::byte> out);

  const MemorySource& source_;
  const KernelFacts& facts_;
  PhysicalSpace& physical_;
  std::unique_ptr<PagedSpace> paged_;  ///< nullptr: none, see paging_missing_
  std::string paging_missing_;
  std::unique_ptr<RangeReader> virtual_reader_;  ///< the fallback, made at its first need
};

}  // namespace kcoredump
