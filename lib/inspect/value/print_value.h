// SPDX-License-Identifier: MIT
//
// From a spot and the bytes there to a tree of values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "inspect/value/object_bytes.h"
#include "inspect/value/print_path.h"
#include "kcoredump/print.h"
#include "kcoredump/words.h"
#include "space/memory_view.h"
#include "symbol/type_catalog.h"

namespace kcoredump {

/// What values are read from; a Kernel has all of it, a test makes its own. All must outlive the
/// use.
struct PrintSources {
  const TypeCatalog& types;
  MemoryView& memory;    ///< where the expression begins
  MemoryView& pointers;  ///< where its pointers lead
  WordNames names;       ///< may be empty
};

/// What is at the end of a path.
struct PathAnswer {
  ValueAnswer answer;     ///< its target is an address alone, and has no symbol
  bool followed = false;  ///< a pointer: the address is one of `pointers`, no longer of `memory`
  std::optional<uint64_t> missing;  ///< the address of the first byte that could not be read
};

/// Errors as ReadValue's. A pointer on the way that cannot be read is an (incomplete) answer.
[[nodiscard]] Result<PathAnswer> ReadAlong(const PrintSources& sources, const Spot& from,
                                           const std::vector<PathStep>& path,
                                           const PrintOptions& options);

/// As ReadLayout, from a type on.
[[nodiscard]] Result<LayoutAnswer> LayoutAlong(const TypeCatalog& types, const Spot& from,
                                               const std::vector<PathStep>& path,
                                               const PrintOptions& options);

/// What limits how much of a type is looked at: types may be forged.
class TypeBudget {
 public:
  explicit TypeBudget(const TypeCatalog& types) : types_(types) {}

  /// As TypeCatalog::MembersOf; empty when too much was asked for already.
  [[nodiscard]] std::vector<MemberEntry> MembersOf(TypeRef type);
  [[nodiscard]] bool spent() const { return spent_; }

 private:
  const TypeCatalog& types_;
  uint64_t members_ = 0;
  bool spent_ = false;
};

[[nodiscard]] bool IsComposite(const TypeCatalog& types, TypeRef type);

}  // namespace kcoredump
