// SPDX-License-Identifier: MIT
//
// Maple trees (kernel: include/linux/maple_tree.h, lib/maple_tree.c; since 6.1), which hold ranges
// of numbers, each with a pointer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "kcoredump/result.h"
#include "space/memory_view.h"
#include "symbol/list_walk.h"
#include "symbol/record.h"
#include "symbol/type_catalog.h"

namespace kcoredump {

/// Immutable; any thread may walk with a memory of its own.
class MapleWalker {
 public:
  /// The pointer that a tree has for [first, last]. False: enough, stop.
  using Visit = std::function<bool(uint64_t first, uint64_t last, uint64_t entry)>;

  /// kNotFound: this kernel has no maple trees.
  [[nodiscard]] static Result<MapleWalker> Create(const TypeCatalog& types);

  /// The entries of the struct maple_tree at `tree`, in order, at most `max_entries`. What is
  /// damaged or missing costs the subtree it is the root of; no node is looked at twice.
  [[nodiscard]] ListOutcome Walk(MemoryView& memory, uint64_t tree, size_t max_entries,
                                 std::string_view what, const Visit& visit) const;

 private:
  friend class MapleWalk;
  /// Where a sort of node has its pivots and slots.
  struct NodeLayout {
    uint64_t pivots = 0;
    uint64_t pivot_count = 0;
    uint64_t slots = 0;
    uint64_t slot_count = 0;
  };
  MapleWalker() = default;
  [[nodiscard]] static Result<NodeLayout> LayoutOf(const TypeCatalog& types, const char* type);

  Field root_;  ///< of struct maple_tree
  uint64_t node_bytes_ = 0;
  NodeLayout range_;
  NodeLayout arange_;
};

}  // namespace kcoredump
