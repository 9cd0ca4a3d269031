// SPDX-License-Identifier: MIT
//
// What of a process's mappings is in memory, by its page tables.
#pragma once

#include <cstdint>
#include <vector>

#include "kcoredump/carve.h"
#include "kcoredump/maps.h"
#include "space/kernel_space.h"

namespace kcoredump {

/// Pages that follow each other and have the same to say.
struct CoreRun {
  Range virt;
  std::optional<PhysAddr> phys;  ///< nothing: untouched, and zeros
  uint32_t flags = 0;            ///< PF_R, PF_W, PF_X
};

/// The runs of `mapping` that belong in a core, appended to `runs`; of the rest, `pages` says why
/// not. kLimitExceeded: more than kMaxCarveRuns.
[[nodiscard]] Status FindCoreRuns(PagedSpace& space, const Paging& paging, const Mapping& mapping,
                                  std::vector<CoreRun>& runs, CarvePages& pages);

}  // namespace kcoredump
