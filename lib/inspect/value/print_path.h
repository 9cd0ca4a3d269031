// SPDX-License-Identifier: MIT
//
// The grammar of print's expressions, TYPE@WHERE.member->member[3], and the way that a path takes
// through types.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kcoredump/result.h"
#include "symbol/type_catalog.h"

namespace kcoredump {

struct PathStep {
  enum class Kind : uint8_t { kMember, kArrow, kIndex, kRange };
  Kind kind = Kind::kMember;
  std::string name;
  uint64_t first = 0;  ///< of kIndex and kRange
  uint64_t last = 0;   ///< of kRange
};

/// kInvalidArgument says where it cannot be understood. An empty path has no steps.
[[nodiscard]] Result<std::vector<PathStep>> ParsePath(std::string_view path);

/// WHERE and the path behind it. Symbols may have dots ("descriptor.3"), so there may be several
/// ways to tell the two apart: the one with the longest WHERE comes first.
[[nodiscard]] std::vector<std::pair<std::string_view, std::string_view>> SplitPlace(
    std::string_view place);

/// TYPE and the path behind it.
[[nodiscard]] std::pair<std::string_view, std::string_view> SplitType(std::string_view text);

/// Something that has a type and a place.
struct Spot {
  TypeRef type;
  uint64_t address = 0;  ///< or an offset, where there is no memory
  uint8_t bit = 0;
  uint32_t bitfield_bits = 0;       ///< 0: not a bitfield
  std::optional<uint64_t> count{};  ///< so many of `type` in a row: a part of an array
  uint64_t first = 0;               ///< index of the first of them
};

/// The address that the pointer at a spot holds.
using FollowPointer = std::function<Result<uint64_t>(const Spot& pointer)>;

/// kNotFound: no such member, with those that are near; kInvalidArgument: a step that the type does
/// not allow; `follow`'s errors.
[[nodiscard]] Result<Spot> TakeStep(const TypeCatalog& types, const Spot& from,
                                    const PathStep& step, const FollowPointer& follow);

/// As TypeCatalog::Find. An array is found by its element: BTF needs not have that very array.
[[nodiscard]] Result<Spot> FindTypeOf(const TypeCatalog& types, std::string_view name);

}  // namespace kcoredump
