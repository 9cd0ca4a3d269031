// SPDX-License-Identifier: MIT
//
// Half-open ranges of addresses and the few set operations the library needs on sorted lists.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace kcoredump {

/// [begin, end). Empty when begin >= end.
struct Range {
  uint64_t begin = 0;
  uint64_t end = 0;

  [[nodiscard]] uint64_t size() const { return end > begin ? end - begin : 0; }
  [[nodiscard]] bool empty() const { return begin >= end; }
  [[nodiscard]] bool Contains(uint64_t at) const { return at >= begin && at < end; }
  [[nodiscard]] bool Covers(const Range& other) const {
    return other.begin >= begin && other.end <= end;
  }
  bool operator==(const Range&) const = default;
};

/// Sorted, empty ones gone, touching and overlapping ones joined.
[[nodiscard]] inline std::vector<Range> Normalized(std::vector<Range> ranges) {
  std::erase_if(ranges, [](const Range& range) { return range.empty(); });
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::vector<Range> joined;
  for (const Range& range : ranges) {
    if (!joined.empty() && range.begin <= joined.back().end) {
      joined.back().end = std::max(joined.back().end, range.end);
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

/// What of `from` no range of `minus` covers. Both sorted and free of overlap; so is the answer,
/// and each of its ranges lies inside one of `from`.
[[nodiscard]] inline std::vector<Range> Subtract(const std::vector<Range>& from,
                                                 const std::vector<Range>& minus) {
  std::vector<Range> rest;
  size_t first = 0;
  for (Range range : from) {
    while (first < minus.size() && minus[first].end <= range.begin) ++first;
    for (size_t i = first; i < minus.size() && minus[i].begin < range.end; ++i) {
      if (minus[i].begin > range.begin) rest.push_back({range.begin, minus[i].begin});
      range.begin = std::max(range.begin, minus[i].end);
    }
    if (!range.empty()) rest.push_back(range);
  }
  return rest;
}

}  // namespace kcoredump
