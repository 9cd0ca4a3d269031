// SPDX-License-Identifier: MIT
//
// Where the members of a type are, and the bytes between them that nothing uses.
#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "inspect/value/print_value.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxEntries = 1 << 16;
constexpr unsigned kMaxLayoutNesting = 16;

class LayoutBuilder {
 public:
  LayoutBuilder(const TypeCatalog& types, unsigned depth)
      : types_(types), depth_(depth), budget_(types) {}

  /// The members of `type`, and of those of its parts that are shown.
  void Fill(TypeRef type, unsigned depth, unsigned nesting, LayoutEntry& out) {
    out.is_union = types_.KindOf(type) == TypeKind::kUnion;
    const uint64_t offset = out.offset;
    uint64_t end = 0;
    for (const MemberEntry& member : budget_.MembersOf(type)) {
      if (++entries_ > kMaxEntries || nesting > kMaxLayoutNesting) {
        cut_ = true;
        return;
      }
      if (!out.is_union) AddHole(offset, end, member.bit_offset, out);
      LayoutEntry entry = EntryOf(member, offset);
      const bool anonymous = member.name.empty();
      if (IsComposite(types_, member.type) && (anonymous || depth < depth_)) {
        Fill(member.type, depth + (anonymous ? 0 : 1), nesting + 1, entry);
      }
      end = std::max(end, EndOf(member, entry));
      out.members.push_back(std::move(entry));
    }
    const uint64_t all = CheckedMultiply(out.bytes, 8).value_or(0);
    if (!out.is_union && !out.members.empty()) AddHole(offset, end, all, out);
  }

  [[nodiscard]] bool cut() const { return cut_ || budget_.spent(); }

 private:
  LayoutEntry EntryOf(const MemberEntry& member, uint64_t offset) const {
    LayoutEntry entry;
    entry.name = member.name;
    entry.type = types_.NameOf(member.type);
    entry.offset = offset + member.bit_offset / 8;
    const auto size = types_.SizeOf(member.type);
    if (size.ok()) entry.bytes = size.value();
    entry.bits = member.bitfield_bits;
    if (entry.bits != 0) entry.bit = static_cast<uint8_t>(member.bit_offset % 8);
    return entry;
  }

  static uint64_t EndOf(const MemberEntry& member, const LayoutEntry& entry) {
    const auto bits = entry.bits != 0 ? entry.bits : CheckedMultiply(entry.bytes, 8);
    return CheckedAdd(member.bit_offset, bits.value_or(0)).value_or(0);
  }

  static void AddHole(uint64_t offset, uint64_t begin, uint64_t end, LayoutEntry& out) {
    if (end <= begin) return;
    LayoutEntry hole;
    hole.offset = offset + begin / 8;
    hole.bit = static_cast<uint8_t>(begin % 8);
    hole.bits = end - begin;
    out.members.push_back(std::move(hole));
  }

  const TypeCatalog& types_;
  unsigned depth_;
  TypeBudget budget_;
  size_t entries_ = 0;
  bool cut_ = false;
};

void Count(LayoutAnswer& answer) {
  const auto& members = answer.whole.members;
  for (size_t i = 0; i < members.size(); ++i) {
    if (!members[i].is_hole()) {
      ++answer.member_count;
    } else if (i + 1 == members.size()) {
      answer.padding_bits = members[i].bits;
    } else {
      ++answer.hole_count;
      answer.hole_bits += members[i].bits;
    }
  }
}

}  // namespace

Result<LayoutAnswer> LayoutAlong(const TypeCatalog& types, const Spot& from,
                                 const std::vector<PathStep>& path, const PrintOptions& options) {
  Spot spot = from;
  TypeRef within = from.type;
  LayoutAnswer answer;
  for (const PathStep& step : path) {
    // Behind a pointer offsets begin anew.
    TypeRef pointee{};
    const FollowPointer follow = [&](const Spot& pointer) -> Result<uint64_t> {
      pointee = types.Pointee(pointer.type);
      return 0;
    };
    KCD_ASSIGN(spot, TakeStep(types, spot, step, follow));
    if (pointee.id != 0) within = pointee;
  }
  KCD_ASSIGN(const uint64_t size, types.SizeOf(spot.type));
  answer.whole.type = types.NameOf(spot.type);
  answer.whole.bytes = size;
  answer.whole.bit = spot.bit;
  answer.whole.bits = spot.bitfield_bits;
  if (spot.count) {
    answer.whole.type += " [" + std::to_string(*spot.count) + "]";
    answer.whole.bytes = CheckedMultiply(size, *spot.count).value_or(0);
  }
  if (!path.empty()) {
    answer.within = types.NameOf(within);
    answer.at_offset = spot.address;
  }
  if (!IsComposite(types, spot.type) || spot.count) return answer;
  LayoutBuilder builder(types, options.depth);
  builder.Fill(spot.type, 1, 0, answer.whole);
  Count(answer);
  if (builder.cut()) answer.findings.Add("more members than are looked at: the rest is left out");
  return answer;
}

}  // namespace kcoredump
