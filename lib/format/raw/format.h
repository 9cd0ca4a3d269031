// SPDX-License-Identifier: MIT
//
// The JSON beside a raw memory image that says which addresses it holds; FORMAT.md beside this file
// specifies it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/range.h"
#include "kcoredump/address.h"
#include "kcoredump/result.h"

namespace kcoredump {

/// FILE.ranges.json stands beside FILE.
inline constexpr char kRawSidecarSuffix[] = ".ranges.json";
inline constexpr size_t kMaxRawSidecarBytes = 16 << 20;
inline constexpr uint32_t kRawRangesVersion = 1;

struct RawRange {
  Range phys;
  uint64_t offset = 0;  ///< in the image; in a padded one the address itself

  bool operator==(const RawRange&) const = default;
};

struct RawRanges {
  uint64_t page_bytes = 0;
  uint16_t machine = 0;  ///< EM_NONE: not said
  std::vector<RawRange> ranges;
  /// Pages of the ranges that the image has no content for: physical, ascending, free of overlap.
  std::vector<PageRun> holes;
  std::string vmcoreinfo;  ///< its text; empty: not said

  bool operator==(const RawRanges&) const = default;
};

/// kCorrupt: not such a JSON object, or one that contradicts itself; kUnsupported: another version;
/// kLimitExceeded: too many ranges or holes.
[[nodiscard]] Result<RawRanges> ParseRawRanges(std::string_view text);

/// The other way round. One line a range.
[[nodiscard]] std::string ToJson(const RawRanges& ranges);

}  // namespace kcoredump
