// SPDX-License-Identifier: MIT
//
// Which walker a list wants, and the walk.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "inspect/value/print_value.h"
#include "kcoredump/list.h"

namespace kcoredump {

/// A list understood.
struct ListPlace {
  TypeRef type;           ///< of the entries
  std::string member;     ///< empty: HEAD is a tree of pointers
  uint64_t head = 0;      ///< address
  std::string head_type;  ///< "struct xarray"; empty: not known
};

/// As WalkAnyList, from the head's address on; a test has sources of its own.
[[nodiscard]] Result<ListAnswer> WalkListAt(const PrintSources& sources, const ListPlace& place,
                                            const ListOptions& options);

}  // namespace kcoredump
