// SPDX-License-Identifier: MIT
//
// Lists with one link, hlist chains among them (kernel: include/linux/list.h, list_nulls.h,
// llist.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "space/memory_view.h"
#include "symbol/list_walk.h"

namespace kcoredump {

/// The objects from `first` on, each of which has the address of the next at `next_offset`, until
/// NULL, an odd number (where a hlist_nulls ends) or `visit` returns false; at most `max_objects`.
/// A link that cannot be read or leads back ends it. `what` names the list.
[[nodiscard]] ListOutcome WalkChain(MemoryView& memory, uint64_t first, uint64_t next_offset,
                                    size_t max_objects, std::string_view what,
                                    const std::function<bool(uint64_t object)>& visit);

}  // namespace kcoredump
