// SPDX-License-Identifier: MIT
//
// Walking page tables, level by level.
#pragma once

#include <string>
#include <vector>

#include "kernel/arch.h"
#include "space/memory_view.h"

namespace kcoredump {

/// One level of a walk.
struct WalkStep {
  std::string_view level;  ///< "PGD", …
  PhysAddr table;
  uint64_t index = 0;
  uint64_t entry = 0;
  DecodedEntry decoded;

  [[nodiscard]] PhysAddr entry_address() const { return {table.value + index * 8}; }
};

struct PageWalk {
  std::vector<WalkStep> steps;   ///< as far as the walk came
  std::optional<PhysAddr> phys;  ///< of the address itself; nothing: not mapped
  uint64_t page_bytes = 0;       ///< of the mapping
};

/// At most one step a level, so that no forged table makes it endless. kCorrupt: an entry no
/// machine accepts; kUnreadable: a table that is not there; kInvalidArgument: not a canonical
/// address. An address that is not mapped is no error: `phys` is empty.
[[nodiscard]] Result<PageWalk> WalkPageTables(MemoryView& physical, const Architecture& arch,
                                              const Paging& paging, PhysAddr root,
                                              VirtAddr address);

}  // namespace kcoredump
