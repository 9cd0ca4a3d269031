// SPDX-License-Identifier: MIT
//
// Which batches are read before the others: those whose memory changes soonest and says most.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "capture/capture_plan.h"
#include "source/memory_source.h"

namespace kcoredump {

/// More are not read early: what is kept of each until its turn takes some 300 bytes of memory.
inline constexpr size_t kMaxEarlyBatches = 1 << 15;
inline constexpr uint64_t kEarlyBatchBytes = 300;

/// A plan's batches, by their numbers.
struct BatchOrder {
  std::vector<uint32_t> early;  ///< page tables', then `first`, then slab's; by address in each
  std::vector<uint32_t> late;   ///< all others, ascending
  uint64_t crowded_out = 0;     ///< of the late ones: early, but for kMaxEarlyBatches
};

/// Asks the live kernel what it uses each page for; `cancel` may be null. kInvalidArgument: the
/// source is no live kernel; kUnsupported: more batches than can be numbered; kCancelled.
[[nodiscard]] Result<BatchOrder> VolatileFirst(const MemorySource& source, const CapturePlan& plan,
                                               std::span<const PhysRange> first,
                                               const std::atomic<bool>* cancel);

}  // namespace kcoredump
