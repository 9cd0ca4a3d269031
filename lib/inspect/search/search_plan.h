// SPDX-License-Identifier: MIT
//
// What is to be searched, cut into units that threads take one by one.
#pragma once

#include <optional>
#include <vector>

#include "inspect/search/search_unit.h"
#include "inspect/session.h"
#include "kcoredump/search.h"

namespace kcoredump {

/// Virtual memory that one range may ask for: its page tables are walked.
inline constexpr uint64_t kMaxVirtualRangeBytes = uint64_t{1} << 40;

/// Immutable once made; any thread may ask.
class SearchPlan {
 public:
  /// kNotFound: no memory there. `unmapped_bytes`: of a physical range, where no RAM is.
  [[nodiscard]] static Result<SearchPlan> Create(Session& session, const SearchOptions& options,
                                                 Findings& findings);
  explicit SearchPlan(std::vector<SearchRegion> regions);

  [[nodiscard]] const std::vector<SearchRegion>& regions() const { return regions_; }
  [[nodiscard]] uint64_t units() const { return units_; }
  [[nodiscard]] uint64_t total_bytes() const { return total_bytes_; }
  [[nodiscard]] const SearchRegion& RegionOf(uint64_t unit) const;
  [[nodiscard]] Range RangeOf(uint64_t unit) const;

 private:
  [[nodiscard]] size_t IndexOf(uint64_t unit) const;

  std::vector<SearchRegion> regions_;
  std::vector<uint64_t> first_units_;  ///< of each region
  uint64_t units_ = 0;
  uint64_t total_bytes_ = 0;
};

}  // namespace kcoredump
