// SPDX-License-Identifier: MIT
//
// Which batches are read before the others: those whose memory changes soonest and says most.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "capture/capture_plan.h"
#include "kcoredump/page_class.h"
#include "source/memory_source.h"

namespace kcoredump {

/// A plan's batches, by their numbers.
struct BatchOrder {
  std::vector<uint32_t> early;  ///< page tables', then `first`, then slab's; by address in each
  std::vector<uint32_t> late;   ///< all others, ascending
};

/// Asks the live kernel what it uses each page for. kUnsupported: the source does not say, or has
/// more batches than can be numbered.
[[nodiscard]] Result<BatchOrder> VolatileFirst(const MemorySource& source, const CapturePlan& plan,
                                               std::span<const PhysRange> first);

}  // namespace kcoredump
