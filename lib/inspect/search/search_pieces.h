// SPDX-License-Identifier: MIT
//
// The address spaces that a search reads, each thread through readers of its own.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "inspect/search/search_unit.h"
#include "kernel/kernel_facts.h"
#include "source/memory_source.h"
#include "space/memory_view.h"

namespace kcoredump {

enum class MappingState : uint8_t {
  kMapped,
  kUnmapped,
  kUnknown,     ///< no page tables: only a read can tell
  kUnreadable,  ///< the table that knows cannot be read, or is forged
};

/// From an address on, so many bytes are alike.
struct AlikeRange {
  MappingState state = MappingState::kUnknown;
  uint64_t bytes = 0;  ///< at least 1
};
using MappingLookup = std::function<AlikeRange(uint64_t address)>;

[[nodiscard]] Result<std::unique_ptr<PieceReader>> MakePhysicalPieces(const MemorySource& source);
/// What is mapped and yet cannot be read is found page by page.
[[nodiscard]] std::unique_ptr<PieceReader> MakeViewPieces(std::shared_ptr<MemoryView> view,
                                                          uint64_t page_bytes,
                                                          MappingLookup mapping);
/// Of the kernel or, with the root of its page tables, of a process. All must outlive it.
[[nodiscard]] Result<std::unique_ptr<PieceReader>> MakeVirtualPieces(
    const MemorySource& source, const KernelFacts& facts, std::optional<PhysAddr> process_root);

}  // namespace kcoredump
