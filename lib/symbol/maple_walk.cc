// SPDX-License-Identifier: MIT
#include "symbol/maple_walk.h"

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

// Kernel: include/linux/maple_tree.h, enum maple_type and MAPLE_NODE_…; lib/maple_tree.c, mte_…
constexpr uint64_t kNodeMask = 255;
constexpr unsigned kTypeShift = 3;
constexpr uint64_t kTypeMask = 0xf;
constexpr uint64_t kLeaf64 = 1;
constexpr uint64_t kRange64 = 2;
constexpr uint64_t kArange64 = 3;
constexpr unsigned kMaxHeight = 31;

/// Kernel: include/linux/xarray.h, xa_is_internal: entries with these low bits are the tree's own.
constexpr uint64_t kInternalBits = 3;
constexpr uint64_t kInternal = 2;
constexpr uint64_t kSmallestNode = 4096;

bool IsInternal(uint64_t entry) { return (entry & kInternalBits) == kInternal; }

}  // namespace

Result<MapleWalker::NodeLayout> MapleWalker::LayoutOf(const TypeCatalog& types, const char* type) {
  KCD_ASSIGN(const Layout layout, Layout::Of(types, type));
  KCD_ASSIGN(const Field pivots, layout.Need("pivot"));
  KCD_ASSIGN(const Field slots, layout.Need("slot"));
  return NodeLayout{.pivots = pivots.offset,
                    .pivot_count = pivots.bytes / sizeof(uint64_t),
                    .slots = slots.offset,
                    .slot_count = slots.bytes / sizeof(uint64_t)};
}

Result<MapleWalker> MapleWalker::Create(const TypeCatalog& types) {
  MapleWalker walker;
  KCD_ASSIGN(const Layout tree, Layout::Of(types, "struct maple_tree"));
  KCD_ASSIGN(walker.root_, tree.Need("ma_root"));
  KCD_ASSIGN(const Layout node, Layout::Of(types, "struct maple_node"));
  walker.node_bytes_ = node.bytes();
  KCD_ASSIGN(walker.range_, LayoutOf(types, "struct maple_range_64"));
  KCD_ASSIGN(walker.arange_, LayoutOf(types, "struct maple_arange_64"));
  return walker;
}

/// One walk.
class MapleWalk {
 public:
  MapleWalk(const MapleWalker& walker, MemoryView& memory, size_t max_entries,
            const MapleWalker::Visit& visit)
      : walker_(walker), memory_(memory), max_entries_(max_entries), visit_(visit) {}

  /// False: stopped, by `visit` or by too many entries.
  bool Node(uint64_t encoded, uint64_t min, uint64_t max, unsigned depth);
  bool Entry(uint64_t min, uint64_t max, uint64_t entry);
  [[nodiscard]] const std::string& damage() const { return damage_; }

 private:
  void Damaged(std::string what) {
    if (damage_.empty()) damage_ = std::move(what);
  }
  bool Slots(const Record& node, const MapleWalker::NodeLayout& layout, uint64_t min, uint64_t max,
             std::optional<unsigned> children_depth);

  const MapleWalker& walker_;
  MemoryView& memory_;
  size_t max_entries_;
  const MapleWalker::Visit& visit_;
  size_t entries_ = 0;
  std::unordered_set<uint64_t> met_;
  std::string damage_;  ///< the first
};

bool MapleWalk::Entry(uint64_t min, uint64_t max, uint64_t entry) {
  if (entry == 0 || IsInternal(entry)) return true;  // a gap, or one that is only reserved
  if (++entries_ <= max_entries_) return visit_(min, max, entry);
  Damaged("it has more than " + Grouped(max_entries_) + " entries");
  return false;
}

/// Pivot i is the last number of slot i; the last slot in use has none, 0, or the node's maximum.
bool MapleWalk::Slots(const Record& node, const MapleWalker::NodeLayout& layout, uint64_t min,
                      uint64_t max, std::optional<unsigned> children_depth) {
  const auto word = [&](uint64_t offset, uint64_t index) {
    return node.Unsigned(Field{.offset = offset + index * sizeof(uint64_t), .bytes = 8});
  };
  for (uint64_t i = 0; i < layout.slot_count; ++i) {
    uint64_t last = i < layout.pivot_count ? word(layout.pivots, i) : max;
    if (last == 0 && i != 0) last = max;
    if (last < min || last > max) {
      Damaged("the pivots of its node at " + HexAddress(node.address()) + " are in disorder");
      return true;
    }
    const uint64_t entry = word(layout.slots, i);
    const bool more = children_depth && entry != 0 ? Node(entry, min, last, *children_depth)
                                                   : Entry(min, last, entry);
    if (!more) return false;
    if (last == max) return true;
    min = last + 1;
  }
  return true;
}

bool MapleWalk::Node(uint64_t encoded, uint64_t min, uint64_t max, unsigned depth) {
  const uint64_t address = encoded & ~kNodeMask;
  const uint64_t type = encoded >> kTypeShift & kTypeMask;
  if (type != kLeaf64 && type != kRange64 && type != kArange64) {
    Damaged(HexAddress(encoded) + " is no node");
    return true;
  }
  if (depth > kMaxHeight || !met_.insert(address).second) {
    Damaged("it runs in a circle at " + HexAddress(address));
    return true;
  }
  if (met_.size() > max_entries_) {
    Damaged("it has more than " + Grouped(max_entries_) + " nodes");
    return false;
  }
  Record node;
  const Status read = node.Load(memory_, address, walker_.node_bytes_);
  if (!read.ok()) {
    Damaged("its node at " + HexAddress(address) + " cannot be read: " + read.error().message);
    return true;
  }
  // A node that was replaced is its own parent (ma_dead_node).
  if ((node.Unsigned(Field{.offset = 0, .bytes = 8}) & ~kNodeMask) == address) {
    Damaged("its node at " + HexAddress(address) + " is no longer in use");
    return true;
  }
  return Slots(node, type == kArange64 ? walker_.arange_ : walker_.range_, min, max,
               type == kLeaf64 ? std::nullopt : std::optional(depth + 1));
}

ListOutcome MapleWalker::Walk(MemoryView& memory, uint64_t tree, size_t max_entries,
                              std::string_view what, const Visit& visit) const {
  const auto root = memory.ReadValue<uint64_t>(tree + root_.offset);
  if (!root.ok()) return {std::string(what) + " cannot be read: " + root.error().message, true};
  MapleWalk walk(*this, memory, max_entries, visit);
  if (IsInternal(root.value()) && root.value() > kSmallestNode) {
    (void)walk.Node(root.value(), 0, ~uint64_t{0}, 0);
  } else {
    (void)walk.Entry(0, 0, root.value());
  }
  if (walk.damage().empty()) return {};
  return {std::string(what) + " changed while it was read or is damaged: " + walk.damage(), true};
}

}  // namespace kcoredump
