// SPDX-License-Identifier: MIT
//
// BTF types as Volatility's Intermediate Symbol Format spells them.
#pragma once

#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "symbol/type_catalog.h"

namespace kcoredump {

/// Spells types, and remembers which of those they name have yet to be written. For one thread.
class IsfTypes {
 public:
  explicit IsfTypes(const TypeCatalog& types);

  /// A type_descriptor of the schema; what has no name of its own gets one.
  [[nodiscard]] nlohmann::ordered_json Describe(TypeRef type);
  /// The next struct, union or enum that has not been written; void: there is none left.
  [[nodiscard]] TypeRef TakeNext();
  /// The name under which Describe spoke of a struct, union or enum.
  [[nodiscard]] std::string KeyOf(TypeRef type) const;
  /// An element_user_type or element_enum of the schema.
  [[nodiscard]] nlohmann::ordered_json UserType(TypeRef type);
  [[nodiscard]] nlohmann::ordered_json Enum(TypeRef type) const;
  /// Everything that Describe called a base type so far, with "pointer" and "void".
  [[nodiscard]] const nlohmann::ordered_json& base_types() const { return base_types_; }

 private:
  [[nodiscard]] nlohmann::ordered_json Base(TypeRef type);
  [[nodiscard]] nlohmann::ordered_json Named(TypeRef type, std::string_view kind);
  [[nodiscard]] nlohmann::ordered_json Field(const MemberEntry& member);
  void Want(TypeRef type);

  const TypeCatalog& types_;
  nlohmann::ordered_json base_types_;
  std::set<std::string, std::less<>> wanted_;
  std::deque<TypeRef> queue_;
};

}  // namespace kcoredump
