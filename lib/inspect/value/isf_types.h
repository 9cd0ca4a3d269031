// SPDX-License-Identifier: MIT
//
// BTF types as Volatility's Intermediate Symbol Format spells them.
#pragma once

#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "symbol/type_catalog.h"

namespace kcoredump {

/// Spells types, and remembers which of those they name have yet to be written. For one thread.
class IsfTypes {
 public:
  explicit IsfTypes(const TypeCatalog& types);

  /// A type_descriptor of the schema; what has no name of its own gets one.
  [[nodiscard]] nlohmann::json Describe(TypeRef type);
  /// The next struct, union or enum that has not been written; void: there is none left.
  [[nodiscard]] TypeRef TakeNext();
  /// The name under which Describe spoke of a struct, union or enum: its own, or where it has none,
  /// or another type of that name comes first in BTF, one that no other type has.
  [[nodiscard]] std::string KeyOf(TypeRef type) const;
  /// An element_user_type or element_enum of the schema.
  [[nodiscard]] nlohmann::json UserType(TypeRef type);
  [[nodiscard]] nlohmann::json Enum(TypeRef type);
  /// Everything that Describe called a base type so far, with "pointer" and "void".
  [[nodiscard]] const nlohmann::json& base_types() const { return base_types_; }

 private:
  [[nodiscard]] nlohmann::json Base(TypeRef type);
  [[nodiscard]] nlohmann::json Named(TypeRef type, std::string_view kind);
  [[nodiscard]] nlohmann::json Innermost(TypeRef type);
  /// Nothing: no number, and so none that could be a bitfield.
  [[nodiscard]] std::optional<nlohmann::json> Bitfield(const MemberEntry& member);
  void Want(TypeRef type);

  using FirstOfName = std::unordered_map<std::string_view, TypeRef>;

  const TypeCatalog& types_;
  FirstOfName composites_;  ///< structs and unions: the schema has them in one list
  FirstOfName enums_;
  nlohmann::json base_types_;
  std::unordered_set<uint32_t> wanted_;  ///< ids: all are vmlinux's
  std::deque<TypeRef> queue_;
};

}  // namespace kcoredump
