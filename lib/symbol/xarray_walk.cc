// SPDX-License-Identifier: MIT
#include "symbol/xarray_walk.h"

#include <bit>
#include <string>
#include <unordered_set>

#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

// Kernel: include/linux/xarray.h, xa_is_internal, xa_is_node: the low bits say what an entry is.
constexpr uint64_t kInternalMask = 3;
constexpr uint64_t kInternalEntry = 2;
constexpr uint64_t kLargestSpecial = 4096;
constexpr unsigned kMaxShift = 63;

}  // namespace

Result<XArrayWalker> XArrayWalker::Create(const TypeCatalog& types) {
  XArrayWalker walker;
  KCD_ASSIGN(const Layout array, Layout::Of(types, "struct xarray"));
  KCD_ASSIGN(walker.head_, array.Need("xa_head"));
  KCD_ASSIGN(const Layout node, Layout::Of(types, "struct xa_node"));
  KCD_ASSIGN(walker.shift_, node.Need("shift"));
  KCD_ASSIGN(walker.slots_, node.Need("slots"));
  walker.node_bytes_ = node.bytes();
  if (!std::has_single_bit(walker.slots_.bytes / sizeof(uint64_t))) {
    return MakeError(ErrorCode::kUnsupported, "struct xa_node has an odd number of slots");
  }
  return walker;
}

/// One walk.
class XArrayWalk {
 public:
  XArrayWalk(const XArrayWalker& walker, MemoryView& memory, size_t max_entries,
             const XArrayWalker::Visit& visit)
      : walker_(walker), memory_(memory), max_entries_(max_entries), visit_(visit) {}

  /// `above`: bits of the index that the levels below the node's parent have. False: stopped.
  bool Take(uint64_t index, uint64_t entry, unsigned above);
  [[nodiscard]] const std::string& damage() const { return damage_; }

 private:
  bool Node(uint64_t index, uint64_t address, unsigned above);
  void Damaged(std::string what) {
    if (damage_.empty()) damage_ = std::move(what);
  }

  const XArrayWalker& walker_;
  MemoryView& memory_;
  size_t max_entries_;
  const XArrayWalker::Visit& visit_;
  size_t entries_ = 0;
  std::unordered_set<uint64_t> met_;
  std::string damage_;  ///< the first
};

bool XArrayWalk::Node(uint64_t index, uint64_t address, unsigned above) {
  if (!met_.insert(address).second || met_.size() > max_entries_) {
    Damaged("it runs in a circle at " + HexAddress(address));
    return met_.size() <= max_entries_;
  }
  Record node;
  const Status read = node.Load(memory_, address, walker_.node_bytes_);
  if (!read.ok()) {
    Damaged("its node at " + HexAddress(address) + " cannot be read: " + read.error().message);
    return true;
  }
  const auto shift = static_cast<unsigned>(node.Unsigned(walker_.shift_));
  // Each level has fewer bits than the one above.
  if (shift >= above) {
    Damaged("its node at " + HexAddress(address) + " is of a wrong level");
    return true;
  }
  const uint64_t slots = walker_.slots_.bytes / sizeof(uint64_t);
  for (uint64_t i = 0; i < slots; ++i) {
    const uint64_t entry = node.Unsigned(
        Field{.offset = walker_.slots_.offset + i * sizeof(uint64_t), .bytes = sizeof(uint64_t)});
    if (!Take(index + (i << shift), entry, shift)) return false;
  }
  return true;
}

bool XArrayWalk::Take(uint64_t index, uint64_t entry, unsigned above) {
  if ((entry & kInternalMask) == kInternalEntry) {
    // Small ones say that a slot belongs to another, is reserved, or is about to change.
    return entry <= kLargestSpecial || Node(index, entry - kInternalEntry, above);
  }
  if (entry == 0) return true;
  if (++entries_ <= max_entries_) return visit_(index, entry);
  Damaged("it has more than " + Grouped(max_entries_) + " entries");
  return false;
}

ListOutcome XArrayWalker::Walk(MemoryView& memory, uint64_t array, size_t max_entries,
                               std::string_view what, const Visit& visit) const {
  const auto head = memory.ReadValue<uint64_t>(array + head_.offset);
  if (!head.ok()) return {std::string(what) + " cannot be read: " + head.error().message, true};
  XArrayWalk walk(*this, memory, max_entries, visit);
  (void)walk.Take(0, head.value(), kMaxShift + 1);
  if (walk.damage().empty()) return {};
  return {std::string(what) + " changed while it was read or is damaged: " + walk.damage(), true};
}

}  // namespace kcoredump
