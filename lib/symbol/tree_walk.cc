// SPDX-License-Identifier: MIT
#include "symbol/tree_walk.h"

#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// struct rb_node as it lies in memory; the low bits of the parent are its colour.
struct TreeNode {
  uint64_t parent_and_colour = 0;
  uint64_t right = 0;
  uint64_t left = 0;
};
constexpr uint64_t kColourBits = 3;

}  // namespace

ListOutcome WalkTree(MemoryView& memory, uint64_t root, size_t max_nodes, std::string_view what,
                     const std::function<bool(uint64_t node)>& visit) {
  const auto top = memory.ReadValue<uint64_t>(root);
  if (!top.ok()) return {std::string(what) + " cannot be read: " + top.error().message, true};
  struct Above {
    uint64_t address;
    uint64_t right;
  };
  std::vector<Above> above;  // whose left side is being walked
  std::unordered_set<uint64_t> met;
  std::string damage;
  const auto damaged = [&](std::string text) {
    if (damage.empty()) damage = std::move(text);
  };
  uint64_t next = top.value();
  uint64_t parent = 0;
  while (next != 0 || !above.empty()) {
    if (next == 0) {
      const Above node = above.back();
      above.pop_back();
      if (!visit(node.address)) break;
      next = node.right;
      parent = node.address;
      continue;
    }
    const uint64_t address = std::exchange(next, 0);
    if (met.size() >= max_nodes) {
      damaged("it has more than " + Grouped(max_nodes) + " nodes");
      break;
    }
    const auto node = memory.ReadValue<TreeNode>(address);
    if (!met.insert(address).second) {
      damaged("it runs in a circle at " + HexAddress(address));
    } else if (!node.ok()) {
      damaged("the node at " + HexAddress(address) + " cannot be read: " + node.error().message);
    } else if ((node.value().parent_and_colour & ~kColourBits) != parent) {
      damaged("the node at " + HexAddress(address) + " does not belong to the one at " +
              HexAddress(parent));
    } else {
      above.push_back({address, node.value().right});
      next = node.value().left;
      parent = address;
    }
  }
  if (damage.empty()) return {};
  return {std::string(what) + " changed while it was read or is damaged: " + damage, true};
}

}  // namespace kcoredump
