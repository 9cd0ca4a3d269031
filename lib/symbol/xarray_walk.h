// SPDX-License-Identifier: MIT
//
// XArrays (kernel: include/linux/xarray.h; since 4.20), and the radix trees and IDRs made of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "kcoredump/result.h"
#include "space/memory_view.h"
#include "symbol/list_walk.h"
#include "symbol/record.h"
#include "symbol/type_catalog.h"

namespace kcoredump {

/// Immutable; any thread may walk with a memory of its own.
class XArrayWalker {
 public:
  /// The pointer, or number (odd), at an index. False: enough, stop.
  using Visit = std::function<bool(uint64_t index, uint64_t entry)>;

  /// kNotFound: this kernel has no xarrays.
  [[nodiscard]] static Result<XArrayWalker> Create(const TypeCatalog& types);

  /// The entries of the struct xarray at `array`, by index, at most `max_entries`. What is damaged
  /// or missing costs the subtree it is the root of; no node is looked at twice.
  [[nodiscard]] ListOutcome Walk(MemoryView& memory, uint64_t array, size_t max_entries,
                                 std::string_view what, const Visit& visit) const;

 private:
  friend class XArrayWalk;
  XArrayWalker() = default;

  Field head_;   ///< of struct xarray
  Field shift_;  ///< of struct xa_node
  Field slots_;  ///< of struct xa_node
  uint64_t node_bytes_ = 0;
};

}  // namespace kcoredump
