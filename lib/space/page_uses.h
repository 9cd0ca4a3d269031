// SPDX-License-Identifier: MIT
//
// What a dead kernel says that its pages are used for: its struct pages, read from the image.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernel/kernel_facts.h"
#include "kernel/page_layout.h"
#include "space/kernel_space.h"
#include "space/memmap.h"
#include "space/physical_space.h"

namespace kcoredump {

/// For one thread. What it is made of must outlive it.
class PageUses {
 public:
  /// kUnsupported: nothing can be told, and why.
  [[nodiscard]] static Result<std::unique_ptr<PageUses>> Create(const MemorySource& source,
                                                                const KernelFacts& facts);
  /// The same on the kernel's address space alone; `ram`: sorted, free of overlap.
  [[nodiscard]] static Result<std::unique_ptr<PageUses>> OfView(MemoryView& kernel,
                                                                const VmcoreInfo& info,
                                                                uint64_t page_bytes,
                                                                std::vector<Range> ram);

  /// Of pages from `first` on. What cannot be told has no class.
  void Tell(PhysAddr first, std::span<PageUse> uses);

  /// Holds struct pages against each other all over RAM: that tails lead to heads, and that free
  /// blocks lie where blocks of their order can. kUnsupported: they do not, so the layout is not
  /// what it is taken for, and nothing that Tell says counts.
  [[nodiscard]] Status Prove();

  /// As PageLayout's; to be learnt before Tell.
  void LearnReserved(uint64_t mask) { layout_.LearnReserved(mask); }
  /// The page at `table` is a page table of a process. False: nothing was learnt from it.
  [[nodiscard]] bool LearnTable(PhysAddr table);

  /// As PageLayout's.
  [[nodiscard]] const std::vector<std::string>& unknown() const { return layout_.unknown(); }

 private:
  PageUses(MemoryView& kernel, uint64_t page_bytes, std::vector<Range> ram, PageLayout layout,
           Memmap memmap);

  /// The struct pages of part of a section, in buffer_.
  struct Window {
    uint64_t address = 0;
    uint64_t pages = 0;
  };
  [[nodiscard]] std::span<const std::byte> InWindow(const Window& window, uint64_t page) const;
  void TellRun(uint64_t pfn, const MemmapRun& run, std::span<PageUse> uses);
  [[nodiscard]] PageUse OfHead(const Window& window, uint64_t address);
  [[nodiscard]] uint64_t FreeFromBefore(uint64_t pfn);

  std::unique_ptr<PhysicalSpace> own_physical_;  ///< of Create
  std::unique_ptr<KernelSpace> own_kernel_;
  MemoryView& kernel_;
  uint64_t page_bytes_;
  std::vector<Range> ram_;
  PageLayout layout_;
  Memmap memmap_;
  std::vector<std::byte> buffer_;
  uint64_t last_head_ = 0;  ///< address; 0: none
  PageUse last_use_;
  // For Prove:
  uint64_t checked_ = 0;
  uint64_t contradictions_ = 0;
};

}  // namespace kcoredump
