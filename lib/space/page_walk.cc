// SPDX-License-Identifier: MIT
#include "space/page_walk.h"

#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

Result<PageWalk> WalkPageTables(MemoryView& physical, const Architecture& arch,
                                const Paging& paging, PhysAddr root, VirtAddr address) {
  if (!paging.IsCanonical(address.value)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     HexAddress(address.value) + " is no address of this machine: its upper " +
                         std::to_string(65 - paging.virtual_bits) + " bits differ");
  }
  PageWalk walk;
  PhysAddr table = root;
  for (size_t level = 0; level < paging.levels.size(); ++level) {
    WalkStep step;
    step.level = paging.levels[level].name;
    step.table = table;
    step.index = paging.levels[level].IndexOf(address.value);
    const auto entry = physical.ReadValue<uint64_t>(step.entry_address().value);
    if (!entry.ok()) {
      return Error(entry.error())
          .WithContext("the " + std::string(step.level) + " table for " +
                       HexAddress(address.value));
    }
    step.entry = entry.value();
    step.decoded = arch.Decode(paging, level, step.entry);
    walk.steps.push_back(step);
    if (step.decoded.kind == EntryKind::kForged) {
      return MakeError(ErrorCode::kCorrupt, "the " + std::string(step.level) + " entry " +
                                                HexAddress(step.entry) + " for " +
                                                HexAddress(address.value) +
                                                " is none that the machine accepts");
    }
    if (step.decoded.kind == EntryKind::kAbsent) return walk;
    if (step.decoded.kind == EntryKind::kPage) {
      walk.page_bytes = paging.levels[level].page_bytes();
      const uint64_t inside = address.value & (walk.page_bytes - 1);
      walk.phys = PhysAddr{step.decoded.target.value + inside};
      return walk;
    }
    table = step.decoded.target;
  }
  return MakeError(ErrorCode::kCorrupt,
                   "the page tables for " + HexAddress(address.value) + " do not end");
}

}  // namespace kcoredump
