// SPDX-License-Identifier: MIT
#include "symbol/list_walk.h"

#include <unordered_set>

#include "kcoredump/text.h"

namespace kcoredump {

namespace {

class Walker {
 public:
  Walker(uint64_t head, size_t max_entries, const ListVisitor& visitor)
      : head_(head), max_entries_(max_entries), visitor_(visitor) {}

  /// What stopped the walk from coming round; empty: nothing did.
  std::string Forward(const ListLinks& ends);
  /// Empty: it came to what was known already, with no gap between.
  std::string Backward(const ListLinks& ends);

  [[nodiscard]] uint64_t last() const { return last_; }
  [[nodiscard]] bool stopped() const { return stopped_; }
  [[nodiscard]] bool full() const { return kept_.size() >= max_entries_; }

 private:
  /// Loads and checks the entry at `node`, to which `from` points; then keeps it. The links, or
  /// what is wrong.
  std::string Take(uint64_t node, uint64_t from, bool backwards, ListLinks& links);

  uint64_t head_;
  size_t max_entries_;
  const ListVisitor& visitor_;
  std::unordered_set<uint64_t> kept_;
  uint64_t last_ = 0;  ///< where Forward came to
  bool stopped_ = false;
};

std::string Walker::Take(uint64_t node, uint64_t from, bool backwards, ListLinks& links) {
  if (kept_.size() >= max_entries_) {
    return "it has more than " + Grouped(max_entries_) + " entries";
  }
  auto loaded = visitor_.load(node);
  if (!loaded.ok()) {
    return "the entry at " + HexAddress(node) + " cannot be read: " + loaded.error().message;
  }
  links = loaded.value();
  const uint64_t back = backwards ? links.next : links.prev;
  if (back != from) {
    return "the entry at " + HexAddress(node) + " points back to " + HexAddress(back) +
           ", not to " + HexAddress(from);
  }
  kept_.insert(node);
  stopped_ = !visitor_.keep(node, backwards);
  return {};
}

std::string Walker::Forward(const ListLinks& ends) {
  last_ = head_;
  uint64_t node = ends.next;
  while (node != head_ && !stopped_) {
    if (kept_.contains(node)) return "it runs in a circle at " + HexAddress(node);
    ListLinks links;
    std::string damage = Take(node, last_, false, links);
    if (!damage.empty()) return damage;
    last_ = node;
    node = links.next;
  }
  return {};
}

std::string Walker::Backward(const ListLinks& ends) {
  uint64_t following = head_;
  uint64_t node = ends.prev;
  std::unordered_set<uint64_t> met;
  while (node != head_ && !stopped_) {
    if (met.contains(node)) return "backwards it runs in a circle at " + HexAddress(node);
    if (node == last_) return {};
    if (kept_.contains(node)) return "backwards it skips what follows " + HexAddress(node);
    ListLinks links;
    std::string damage = Take(node, following, true, links);
    if (!damage.empty()) return damage;
    met.insert(node);
    following = node;
    node = links.prev;
  }
  return {};
}

}  // namespace

ListOutcome WalkList(MemoryView& memory, uint64_t head, size_t max_entries, std::string_view what,
                     const ListVisitor& visitor) {
  const auto ends = memory.ReadValue<ListLinks>(head);
  if (!ends.ok()) {
    return {std::string(what) + " cannot be read: " + ends.error().message, true};
  }
  Walker walker(head, max_entries, visitor);
  std::string damage = walker.Forward(ends.value());
  if (walker.stopped() || (damage.empty() && walker.last() == ends.value().prev)) return {};
  // A last entry that the head does not know is what a list looks like that grew while it was read.
  if (damage.empty()) damage = "its head and its last entry disagree";
  if (walker.full()) return {std::string(what) + " ends early: " + damage, true};
  const std::string other_damage = walker.Backward(ends.value());
  if (walker.stopped()) return {};
  if (other_damage.empty()) {
    return {std::string(what) + " changed while it was read or is damaged: " + damage +
                "; the rest was found from its other end",
            false};
  }
  return {std::string(what) + " is damaged: " + damage + "; from the other end: " + other_damage,
          true};
}

}  // namespace kcoredump
