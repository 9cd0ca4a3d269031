// SPDX-License-Identifier: MIT
//
// What stands behind TypeCatalog: its units, and steps from type to type that never fail.
#pragma once

#include <deque>

#include "symbol/type_catalog.h"
#include "symbol/type_unit.h"

namespace kcoredump {

/// Longest chain of typedefs, qualifiers, pointers or arrays that is followed: a longer one is
/// taken for endless. Linux has about ten.
inline constexpr unsigned kMaxTypeChain = 64;

class TypeCatalog::Impl {
 public:
  struct Module {
    std::string name;
    std::span<const std::byte> blob;
    mutable std::once_flag once;
    mutable std::unique_ptr<TypeUnit> unit;  ///< nullptr: damaged, as `damage` says
    mutable std::string damage;
  };

  /// nullptr: damaged, or no such unit.
  [[nodiscard]] const TypeUnit* UnitOf(uint32_t number) const;
  /// Void where there is none.
  [[nodiscard]] const btf_type& At(TypeRef type) const;
  [[nodiscard]] unsigned KindAt(TypeRef type) const { return btf_kind(&At(type)); }
  [[nodiscard]] std::string_view NameAt(TypeRef type) const;
  /// The same type by one ref only: vmlinux's types are of unit 0.
  [[nodiscard]] TypeRef Ref(uint32_t unit, uint32_t id) const {
    return {id < vmlinux->type_count() ? 0 : unit, id};
  }
  [[nodiscard]] TypeRef Referred(TypeRef type) const { return Ref(type.unit, At(type).type); }
  [[nodiscard]] TypeRef Element(TypeRef array) const;

  /// In one unit. Void: not there.
  [[nodiscard]] TypeRef FindIn(uint32_t unit, std::string_view name) const;

  std::unique_ptr<TypeUnit> vmlinux;
  std::deque<Module> modules;  ///< a deque, for they cannot move
};

/// typedef, const, volatile, restrict and attributes.
[[nodiscard]] bool IsTransparent(unsigned kind);

}  // namespace kcoredump
