// SPDX-License-Identifier: MIT
//
// Where the kernel keeps the struct page of a page frame (kernel: include/linux/mmzone.h, sparse
// memory, which every x86_64 and arm64 distribution kernel has).
#pragma once

#include <cstdint>
#include <optional>

#include "kernel/vmcoreinfo.h"
#include "space/memory_view.h"

namespace kcoredump {

/// Struct pages that follow each other.
struct MemmapRun {
  uint64_t address = 0;  ///< virtual, of the first
  uint64_t pages = 0;    ///< from there to the end of the section
};

/// For one thread. The view must outlive it.
class Memmap {
 public:
  /// kUnsupported names what VMCOREINFO lacks.
  [[nodiscard]] static Result<Memmap> Open(MemoryView& kernel, const VmcoreInfo& info,
                                           uint64_t page_bytes, size_t struct_bytes);

  /// kNotFound: the kernel has no struct page for `pfn`. kUnreadable, kCorrupt: not to be told.
  [[nodiscard]] Result<MemmapRun> At(uint64_t pfn);

 private:
  Memmap(MemoryView& kernel, size_t struct_bytes) : kernel_(&kernel), struct_bytes_(struct_bytes) {}
  [[nodiscard]] Result<uint64_t> MapOfSection(uint64_t section);

  MemoryView* kernel_;
  size_t struct_bytes_;
  uint64_t sections_at_ = 0;    ///< of mem_section
  uint64_t section_bytes_ = 0;  ///< SIZE(mem_section)
  uint64_t map_at_ = 0;         ///< OFFSET(mem_section.section_mem_map)
  uint64_t section_pages_ = 0;
  uint64_t sections_ = 0;           ///< that there can be
  uint64_t sections_per_root_ = 0;  ///< 0: mem_section is one flat array
  std::optional<uint64_t> known_section_;
  uint64_t known_map_ = 0;
};

}  // namespace kcoredump
