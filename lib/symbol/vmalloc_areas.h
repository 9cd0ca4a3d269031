// SPDX-License-Identifier: MIT
//
// vmalloc space by areas: from the text of /proc/vmallocinfo, or from the kernel's own lists.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kcoredump/result.h"
#include "space/memory_view.h"
#include "symbol/symbol_table.h"
#include "symbol/type_catalog.h"

namespace kcoredump {

inline constexpr size_t kMaxVmallocAreas = 4 << 20;

struct VmallocArea {
  uint64_t start = 0;
  uint64_t end = 0;             ///< exclusive; vmallocinfo's, guard page included
  uint64_t pages = 0;           ///< 0: not known or none (ioremap)
  uint64_t caller_address = 0;  ///< 0: not known
  std::string
      caller;  ///< "load_module+0x1a2/0x33", as the text has it or by symbols; empty: not known
  std::vector<std::string>
      kinds;  ///< "vmalloc", "vmap", "ioremap", "user", "vpages", "vm_map_ram", …
  std::optional<uint64_t> phys;  ///< of ioremap
};

/// Sorted by start. `notes`, `incomplete` as in ModuleList.
struct VmallocAreas {
  std::vector<VmallocArea> areas;
  std::vector<std::string> notes;
  bool incomplete = false;

  /// nullptr: none contains it.
  [[nodiscard]] const VmallocArea* Containing(uint64_t address) const;
};

/// kPermission: the addresses are hashed or hidden (kptr_restrict), with the cure.
[[nodiscard]] Result<VmallocAreas> ParseVmallocInfo(std::string_view text);

/// vmap_area_list (up to 6.8) or vmap_nodes (after). Callers are addresses only.
[[nodiscard]] Result<VmallocAreas> WalkVmallocAreas(MemoryView& kernel, const TypeCatalog& types,
                                                    const SymbolLookup& symbol);

}  // namespace kcoredump
