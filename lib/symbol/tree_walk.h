// SPDX-License-Identifier: MIT
//
// The kernel's red-black trees (struct rb_root; kernel: include/linux/rbtree_types.h), walked so
// that damage costs no more than what hangs below it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "space/memory_view.h"
#include "symbol/list_walk.h"

namespace kcoredump {

/// The nodes of the struct rb_root at `root`, in order, by address of their struct rb_node, until
/// `visit` returns false; at most `max_nodes`, none twice. Nodes that cannot be read or do not
/// belong to the one they were found at are lost with what is below them. `what` names the tree.
[[nodiscard]] ListOutcome WalkTree(MemoryView& memory, uint64_t root, size_t max_nodes,
                                   std::string_view what,
                                   const std::function<bool(uint64_t node)>& visit);

}  // namespace kcoredump
