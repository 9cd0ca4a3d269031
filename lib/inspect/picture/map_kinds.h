// SPDX-License-Identifier: MIT
//
// The legends of memory's pictures, and which entry of a legend a page belongs to.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "kcoredump/map.h"
#include "kernel/page_layout.h"
#include "source/memory_source.h"

namespace kcoredump {

/// Steps of the scales of entropy and of time.
inline constexpr size_t kScaleSteps = 8;

/// Indexes of ClassKinds; those of holes stand in every legend but that of outcomes.
enum ClassKind : size_t {
  kClassFree,
  kClassZero,
  kClassUser,
  kClassCache,
  kClassSlab,
  kClassPageTable,
  kClassKernel,
  kClassReserved,
  kClassData,  ///< not zero, and no more is known
  kClassPoisoned,
  kClassUnreadable,
  kClassExcluded,
  kClassUnknown,
};
[[nodiscard]] std::vector<MapKind> ClassKinds();
[[nodiscard]] size_t ClassKindOf(const PageUse& use);
/// Nothing: the label says nothing, the page is there.
[[nodiscard]] std::optional<size_t> ClassKindOfHole(const PageLabel& label);

/// By the numbers of PageOutcome.
[[nodiscard]] std::vector<MapKind> OutcomeKinds();

/// A scale of kScaleSteps, then the holes.
enum ScaleKind : size_t {
  kScaleZero = kScaleSteps,  ///< of entropy: nothing but zeros
  kScalePoisoned,
  kScaleUnreadable,
  kScaleExcluded,
  kScaleUnknown,
};
[[nodiscard]] std::vector<MapKind> EntropyKinds();
/// `last_ms`: the latest time of any page.
[[nodiscard]] std::vector<MapKind> TimeKinds(uint32_t last_ms);
[[nodiscard]] std::optional<size_t> ScaleKindOfHole(const PageLabel& label);

}  // namespace kcoredump
