// SPDX-License-Identifier: MIT
#include "symbol/chain_walk.h"

#include <string>
#include <unordered_set>

#include "kcoredump/text.h"

namespace kcoredump {

ListOutcome WalkChain(MemoryView& memory, uint64_t first, uint64_t next_offset, size_t max_objects,
                      std::string_view what, const std::function<bool(uint64_t object)>& visit) {
  std::unordered_set<uint64_t> met;
  uint64_t object = first;
  while (object != 0 && (object & 1) == 0) {
    if (met.size() >= max_objects) {
      return {std::string(what) + " has more than " + Grouped(max_objects) + " entries", true};
    }
    if (!met.insert(object).second) {
      return {std::string(what) + " runs in a circle at " + HexAddress(object), true};
    }
    const auto next = memory.ReadValue<uint64_t>(object + next_offset);
    if (!next.ok()) {
      return {
          std::string(what) + " ends early, at " + HexAddress(object) + ": " + next.error().message,
          true};
    }
    if (!visit(object)) return {};
    object = next.value();
  }
  return {};
}

}  // namespace kcoredump
