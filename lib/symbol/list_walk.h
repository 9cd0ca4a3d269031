// SPDX-License-Identifier: MIT
//
// The kernel's circular lists (struct list_head; kernel: include/linux/list.h), walked so that
// damage neither ends in a loop nor costs more than it must.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "kcoredump/result.h"
#include "space/memory_view.h"

namespace kcoredump {

/// struct list_head as it lies in memory.
struct ListLinks {
  uint64_t next = 0;
  uint64_t prev = 0;
};

struct ListVisitor {
  /// Reads the entry whose list_head is at `node`, and returns its links.
  std::function<Result<ListLinks>(uint64_t node)> load;
  /// The entry just loaded belongs to the list. False: enough, stop.
  std::function<bool(uint64_t node, bool backwards)> keep;
};

/// What a walk met.
struct ListOutcome {
  std::string note;   ///< empty: the list is whole
  bool lost = false;  ///< entries may be missing
};

/// Walks forward from `head`. Where an entry cannot be read, does not point back to the one before
/// or was met already, the walk turns round and comes from the other end as far as the links agree;
/// entries found then are kept with `backwards`. `what` names the list: "the list of modules". No
/// entry is kept twice, and none past `max_entries`.
[[nodiscard]] ListOutcome WalkList(MemoryView& memory, uint64_t head, size_t max_entries,
                                   std::string_view what, const ListVisitor& visitor);

}  // namespace kcoredump
