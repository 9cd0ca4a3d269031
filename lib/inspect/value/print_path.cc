// SPDX-License-Identifier: MIT
#include "inspect/value/print_path.h"

#include <algorithm>
#include <charconv>

#include "base/checked.h"
#include "base/error.h"
#include "base/near_names.h"
#include "base/try.h"

namespace kcoredump {

namespace {

/// Forged structs have any number of members, and hold themselves.
constexpr size_t kMaxMembersCompared = 1 << 16;
constexpr unsigned kMaxAnonymousDepth = 16;

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

std::string Quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

std::optional<uint64_t> ParseIndex(std::string_view text) {
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, hex ? 16 : 10);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

/// "[3]" or "[3..7]" at the front of `path`.
Result<PathStep> TakeIndex(std::string_view& path) {
  const size_t close = path.find(']');
  const std::string_view inside =
      close == std::string_view::npos ? std::string_view() : path.substr(1, close - 1);
  const size_t dots = inside.find("..");
  const auto first = ParseIndex(inside.substr(0, dots));
  const auto last = dots == std::string_view::npos
                        ? first
                        : ParseIndex(inside.substr(std::min(dots + 2, inside.size())));
  if (!first || !last || *last < *first) {
    return InvalidArgument(Quoted(path) + " does not begin with an index; write [3], or [3..7]");
  }
  path.remove_prefix(close + 1);
  const bool range = dots != std::string_view::npos;
  return PathStep{.kind = range ? PathStep::Kind::kRange : PathStep::Kind::kIndex,
                  .name = {},
                  .first = *first,
                  .last = *last};
}

Result<PathStep> TakeOne(std::string_view& path) {
  if (path.starts_with('[')) return TakeIndex(path);
  PathStep step;
  const std::string_view whole = path;
  if (path.starts_with("->")) {
    step.kind = PathStep::Kind::kArrow;
    path.remove_prefix(2);
  } else if (path.starts_with('.')) {
    path.remove_prefix(1);
  } else {
    return InvalidArgument(Quoted(path) + " is no path; write .member, ->member or [3]");
  }
  const auto end = std::find_if_not(path.begin(), path.end(), IsNameByte);
  step.name.assign(path.begin(), end);
  path.remove_prefix(step.name.size());
  if (step.name.empty()) return InvalidArgument(Quoted(whole) + " lacks the name of a member");
  return step;
}

/// The members of a struct and of its anonymous parts.
void OfferMembers(const TypeCatalog& types, TypeRef type, NearNames& near, size_t& left,
                  unsigned depth = 0) {
  const std::vector<MemberEntry> members = types.MembersOf(type);
  if (depth > kMaxAnonymousDepth || members.size() > left) return;
  left -= members.size();
  for (const MemberEntry& member : members) {
    near.Offer(member.name);
    if (member.name.empty()) OfferMembers(types, member.type, near, left, depth + 1);
  }
}

bool HasMembers(const TypeCatalog& types, TypeRef type) {
  const TypeKind kind = types.KindOf(type);
  return kind == TypeKind::kStruct || kind == TypeKind::kUnion;
}

Result<Spot> TakeMember(const TypeCatalog& types, const Spot& from, const std::string& name) {
  if (!HasMembers(types, from.type)) {
    const TypeKind kind = types.KindOf(from.type);
    return InvalidArgument(
        Quoted(types.NameOf(from.type)) +
        (kind == TypeKind::kPointer ? " has no members; write ->" + name + " to follow the pointer"
         : kind == TypeKind::kForward ? " is only declared: this kernel's BTF has no members of it"
                                      : " has no members"));
  }
  auto member = types.MemberOf(from.type, name);
  if (!member.ok()) {
    NearNames near(name);
    size_t left = kMaxMembersCompared;
    OfferMembers(types, from.type, near, left);
    member.error().message += near.Text();
    return std::move(member.error());
  }
  const auto address = CheckedAdd(from.address, member.value().offset());
  if (!address) return InvalidArgument("." + name + " lies past the end of the address space");
  return Spot{.type = member.value().type,
              .address = *address,
              .bit = static_cast<uint8_t>(member.value().bit_offset % 8),
              .bitfield_bits = member.value().bitfield_bits};
}

Result<Spot> Follow(const TypeCatalog& types, const Spot& pointer, const FollowPointer& follow) {
  KCD_ASSIGN(const uint64_t address, follow(pointer));
  Spot to{.type = types.Pointee(pointer.type), .address = address};
  if (types.KindOf(to.type) == TypeKind::kForward) {
    // What is only declared here is defined in a module.
    const auto defined = types.Find(types.NameOf(to.type));
    if (defined.ok()) to.type = defined.value();
  }
  return to;
}

Result<Spot> TakeElements(const TypeCatalog& types, const Spot& from, const PathStep& step,
                          const FollowPointer& follow) {
  Spot to = from;
  if (types.KindOf(from.type) == TypeKind::kPointer) {
    KCD_ASSIGN(to, Follow(types, from, follow));
  } else if (types.KindOf(from.type) == TypeKind::kArray) {
    // An array of 0 elements is as long as its struct was allocated (C: a flexible array member).
    const uint64_t count = types.Count(from.type);
    if (count != 0 && step.last >= count) {
      return InvalidArgument("[" + std::to_string(step.last) + "] is past the end of " +
                             Quoted(types.NameOf(from.type)));
    }
    to.type = types.Element(from.type);
  } else {
    return InvalidArgument(Quoted(types.NameOf(from.type)) + " has no elements");
  }
  KCD_ASSIGN(const uint64_t size, types.SizeOf(to.type));
  const auto begin = CheckedMultiply(step.first, size);
  const auto end = CheckedMultiply(step.last, size);
  const auto address = begin ? CheckedAdd(to.address, *begin) : std::nullopt;
  if (!address || !end || !CheckedAdd(to.address, *end)) {
    return InvalidArgument("an index past the end of the address space");
  }
  to.address = *address;
  if (step.kind != PathStep::Kind::kRange) return to;
  to.first = step.first;
  to.count = step.last - step.first + 1;
  return to;
}

}  // namespace

Result<std::vector<PathStep>> ParsePath(std::string_view path) {
  std::vector<PathStep> steps;
  while (!path.empty()) {
    if (!steps.empty() && steps.back().kind == PathStep::Kind::kRange) {
      return InvalidArgument("only the last step can be a range; " + Quoted(path) + " follows one");
    }
    KCD_ASSIGN(steps.emplace_back(), TakeOne(path));
  }
  return steps;
}

std::vector<std::pair<std::string_view, std::string_view>> SplitPlace(std::string_view place) {
  const size_t end = std::min({place.find("->"), place.find('['), place.size()});
  std::vector<std::pair<std::string_view, std::string_view>> ways;
  const auto add = [&](size_t at) { ways.emplace_back(place.substr(0, at), place.substr(at)); };
  const bool symbol = !place.starts_with("phys:") && !place.starts_with("pid:") &&
                      !(place >= "0" && place < ":");  // no symbol begins with a digit
  if (!symbol) {
    add(std::min(end, place.find('.')));
    return ways;
  }
  add(end);
  for (size_t at = end; at != 0;) {
    at = place.rfind('.', at - 1);
    if (at == std::string_view::npos) break;
    add(at);
  }
  return ways;
}

std::pair<std::string_view, std::string_view> SplitType(std::string_view text) {
  const size_t end = std::min({text.find("->"), text.find('.'), text.size()});
  return {text.substr(0, end), text.substr(end)};
}

Result<Spot> TakeStep(const TypeCatalog& types, const Spot& from, const PathStep& step,
                      const FollowPointer& follow) {
  switch (step.kind) {
    case PathStep::Kind::kMember:
      return TakeMember(types, from, step.name);
    case PathStep::Kind::kArrow: {
      if (types.KindOf(from.type) != TypeKind::kPointer) {
        return InvalidArgument(Quoted(types.NameOf(from.type)) + " is no pointer; write ." +
                               step.name);
      }
      KCD_ASSIGN(const Spot pointee, Follow(types, from, follow));
      return TakeMember(types, pointee, step.name);
    }
    case PathStep::Kind::kIndex:
    case PathStep::Kind::kRange:
      break;
  }
  return TakeElements(types, from, step, follow);
}

Result<Spot> FindTypeOf(const TypeCatalog& types, std::string_view name) {
  auto found = types.Find(name);
  if (found.ok()) return Spot{.type = found.value()};
  const size_t open = name.rfind('[');
  if (name.ends_with(']') && open != std::string_view::npos) {
    const auto count = ParseIndex(name.substr(open + 1, name.size() - open - 2));
    const auto element = types.Find(name.substr(0, open));
    if (count && element.ok()) return Spot{.type = element.value(), .count = count};
  }
  NearNames near(name.substr(name.find_last_of(' ') + 1));
  for (const TypeRef type : types.Named()) {
    const std::string spelled = types.NameOf(type);
    near.Offer(std::string_view(spelled).substr(spelled.find_last_of(' ') + 1));
  }
  found.error().message += near.Text();
  return std::move(found.error());
}

}  // namespace kcoredump
