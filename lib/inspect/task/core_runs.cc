// SPDX-License-Identifier: MIT
#include "inspect/task/core_runs.h"

#include <elf.h>

#include <algorithm>

#include "base/error.h"
#include "base/try.h"

namespace kcoredump {

namespace {

uint32_t FlagsOf(const Mapping& mapping) {
  return (mapping.readable ? PF_R : 0U) | (mapping.writable ? PF_W : 0U) |
         (mapping.executable ? PF_X : 0U);
}

/// [vdso] and its like, whose pages the kernel has elsewhere.
bool IsKernels(const Mapping& mapping) {
  return mapping.name.starts_with('[') && mapping.name != "[heap]" && mapping.name != "[stack]" &&
         !mapping.name.starts_with("[anon:");
}

/// What stands at an address that is not mapped, and how far that reaches.
struct AbsentStretch {
  bool empty = true;  ///< false: an entry that says where else the page is
  bool table_missing = false;
  uint64_t end = 0;
};

AbsentStretch AbsentAt(PagedSpace& space, const Paging& paging, uint64_t address) {
  const auto walk = space.Walk(VirtAddr{address});
  AbsentStretch stretch;
  uint64_t bytes = paging.levels.back().page_bytes();
  if (!walk.ok()) {
    stretch.table_missing = true;
  } else if (!walk.value().steps.empty()) {
    bytes = paging.levels[walk.value().steps.size() - 1].page_bytes();
    stretch.empty = walk.value().steps.back().entry == 0;
  }
  stretch.end = (address | (bytes - 1)) + 1;
  return stretch;
}

void AddCoreRun(std::vector<CoreRun>& runs, const CoreRun& run) {
  if (!runs.empty() && runs.back().virt.end == run.virt.begin && runs.back().flags == run.flags) {
    CoreRun& last = runs.back();
    const bool follows =
        last.phys && run.phys && last.phys->value + last.virt.size() == run.phys->value;
    if (follows || (!last.phys && !run.phys)) {
      last.virt.end = run.virt.end;
      return;
    }
  }
  runs.push_back(run);
}

void AddGap(PagedSpace& space, const Paging& paging, const Mapping& mapping, const Range& gap,
            std::vector<CoreRun>& runs, CarvePages& pages) {
  const uint64_t page_bytes = paging.levels.back().page_bytes();
  for (uint64_t at = gap.begin; at < gap.end;) {
    const AbsentStretch stretch = AbsentAt(space, paging, at);
    const uint64_t end = stretch.end > at ? std::min(stretch.end, gap.end) : gap.end;
    const uint64_t count = (end - at) / page_bytes;
    if (stretch.table_missing) {
      pages.unreadable += count;
    } else if (!stretch.empty) {
      pages.swapped += count;
    } else if (mapping.file != 0 || IsKernels(mapping)) {
      pages.in_file += count;
    } else {
      pages.untouched += count;
      AddCoreRun(runs, {.virt = {at, end}, .phys = {}, .flags = FlagsOf(mapping)});
    }
    at = end;
  }
}

}  // namespace

Status FindCoreRuns(PagedSpace& space, const Paging& paging, const Mapping& mapping,
                    std::vector<CoreRun>& runs, CarvePages& pages) {
  KCD_ASSIGN(const auto mapped, space.MappedRanges({mapping.start, mapping.end}, kMaxCarveRuns));
  uint64_t at = mapping.start;
  for (const MappedRange& range : mapped) {
    if (range.virt.begin > at) AddGap(space, paging, mapping, {at, range.virt.begin}, runs, pages);
    AddCoreRun(runs, {.virt = range.virt, .phys = range.phys, .flags = FlagsOf(mapping)});
    at = range.virt.end;
    if (runs.size() > kMaxCarveRuns) break;
  }
  if (at < mapping.end) AddGap(space, paging, mapping, {at, mapping.end}, runs, pages);
  if (runs.size() <= kMaxCarveRuns) return {};
  return MakeError(
      ErrorCode::kLimitExceeded,
      "the process has more than " + std::to_string(kMaxCarveRuns) + " separate runs of pages");
}

}  // namespace kcoredump
