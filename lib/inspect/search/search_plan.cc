// SPDX-License-Identifier: MIT
#include "inspect/search/search_plan.h"

#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using Regions = std::vector<SearchRegion>;

Regions InSpace(Target::Space space, const std::vector<Range>& ranges) {
  Regions regions;
  for (const Range& range : ranges) regions.push_back({.space = space, .range = range});
  return regions;
}

/// vmalloc and module space without devices' memory, which a read might upset.
Regions VmallocRegions(Session& session, Findings& findings) {
  const auto areas = session.Vmalloc();
  if (!areas.ok()) {
    findings.Lost("vmalloc and module space are left out: " + areas.error().message);
    return {};
  }
  for (const std::string& note : areas.value()->notes) findings.Add(note);
  if (areas.value()->incomplete) findings.incomplete = true;
  if (const std::string& missing = session.kernel().paging_missing(); !missing.empty()) {
    findings.Add("vmalloc and module space are searched as far as they can be read: " + missing);
  }
  std::vector<Range> ranges;
  for (const VmallocArea& area : areas.value()->areas) {
    const bool device = area.phys || std::ranges::find(area.kinds, "ioremap") != area.kinds.end();
    if (!device) ranges.push_back({area.start, area.end});
  }
  return InSpace(Target::Space::kKernel, Normalized(std::move(ranges)));
}

std::vector<Range> Intersect(const std::vector<Range>& ranges, const Range& with) {
  std::vector<Range> parts;
  for (const Range& range : ranges) {
    const Range part{std::max(range.begin, with.begin), std::min(range.end, with.end)};
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

/// The direct map is searched as the RAM it is; the rest is translated page by page.
Regions KernelRange(const MemoryMap& map, const Range& range) {
  std::vector<std::pair<uint64_t, SearchRegion>> parts;  // by virtual address
  std::vector<Range> direct;
  for (const Segment& segment : map.ram()) {
    const Range part{std::max(segment.virt.begin, range.begin),
                     std::min(segment.virt.end, range.end)};
    if (part.empty()) continue;
    const uint64_t phys = segment.phys + (part.begin - segment.virt.begin);
    if (map.ToPhysical(VirtAddr{part.begin}) != PhysAddr{phys}) continue;  // of no meaning here
    direct.push_back(part);
    parts.push_back({part.begin, {Target::Space::kPhysical, {phys, phys + part.size()}}});
  }
  for (const Range& rest : Subtract({range}, Normalized(std::move(direct)))) {
    parts.push_back({rest.begin, {Target::Space::kKernel, rest}});
  }
  std::ranges::sort(parts, {}, [](const auto& part) { return part.first; });
  Regions regions;
  for (const auto& [virt, region] : parts) {
    const bool goes_on = !regions.empty() && regions.back().space == region.space &&
                         regions.back().range.end == region.range.begin;
    if (goes_on) {
      regions.back().range.end = region.range.end;
    } else {
      regions.push_back(region);
    }
  }
  return regions;
}

Result<Regions> RangeRegions(Session& session, const SearchRange& wanted) {
  const auto end = CheckedAdd(wanted.at.address, wanted.bytes);
  if (!end || wanted.bytes == 0) {
    return MakeError(ErrorCode::kInvalidArgument, wanted.bytes == 0
                                                      ? "the range is empty"
                                                      : "the range wraps around the address space");
  }
  const Range range{wanted.at.address, *end};
  const MemoryMap& map = session.source().map();
  if (wanted.at.space == Target::Space::kPhysical) {
    return InSpace(Target::Space::kPhysical, Intersect(map.RamRanges(), range));
  }
  if (range.size() > kMaxVirtualRangeBytes) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "a virtual range of more than " + HumanBytes(kMaxVirtualRangeBytes));
  }
  if (wanted.at.space == Target::Space::kKernel) return KernelRange(map, range);
  return InSpace(Target::Space::kProcess, {range});
}

uint64_t UnitsOf(const Range& range) {
  return (range.end - 1 - AlignDown(range.begin, kSearchUnitBytes)) / kSearchUnitBytes + 1;
}

}  // namespace

Result<SearchPlan> SearchPlan::Create(Session& session, const SearchOptions& options,
                                      Findings& findings) {
  Regions regions;
  if (options.range) {
    KCD_ASSIGN(regions, RangeRegions(session, *options.range));
  } else {
    regions = InSpace(Target::Space::kPhysical, session.source().map().RamRanges());
    if (options.space == Target::Space::kKernel) {
      std::ranges::move(VmallocRegions(session, findings), std::back_inserter(regions));
    }
  }
  if (regions.empty()) {
    return MakeError(ErrorCode::kNotFound, "this image has no memory in the range");
  }
  return SearchPlan(std::move(regions));
}

SearchPlan::SearchPlan(std::vector<SearchRegion> regions) : regions_(std::move(regions)) {
  std::erase_if(regions_, [](const SearchRegion& region) { return region.range.empty(); });
  for (const SearchRegion& region : regions_) {
    first_units_.push_back(units_);
    units_ += UnitsOf(region.range);
    total_bytes_ += region.range.size();
  }
}

size_t SearchPlan::IndexOf(uint64_t unit) const {
  const auto after = std::upper_bound(first_units_.begin(), first_units_.end(), unit);
  return static_cast<size_t>(after - first_units_.begin()) - 1;
}

const SearchRegion& SearchPlan::RegionOf(uint64_t unit) const { return regions_[IndexOf(unit)]; }

Range SearchPlan::RangeOf(uint64_t unit) const {
  const size_t index = IndexOf(unit);
  const Range& all = regions_[index].range;
  const uint64_t first = AlignDown(all.begin, kSearchUnitBytes);
  const uint64_t begin =
      std::max(all.begin, first + (unit - first_units_[index]) * kSearchUnitBytes);
  return {begin, NextBoundary(begin, kSearchUnitBytes, all.end)};
}

}  // namespace kcoredump
