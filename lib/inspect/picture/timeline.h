// SPDX-License-Identifier: MIT
//
// The course of a capture, from the end of its snapshot.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "inspect/session.h"

namespace kcoredump {

struct CaptureTimeline {
  struct Step {
    uint64_t bytes = 0;          ///< of memory whose frames were read by then
    uint64_t hole_pages = 0;     ///< that could not, or must not, be read
    uint64_t retried_pages = 0;  ///< retried or bounced
  };
  double step_seconds = 0;
  std::vector<Step> steps;
  uint64_t started_utc_ns = 0;
  uint64_t ended_utc_ns = 0;

  [[nodiscard]] double seconds() const { return step_seconds * static_cast<double>(steps.size()); }
  /// Bytes a second, the highest of all steps.
  [[nodiscard]] double PeakRate() const;
};

/// kUnsupported: the image is no snapshot, or one without its end.
[[nodiscard]] Result<CaptureTimeline> TimelineOf(const Session& session, size_t steps);

/// Bars of the rate, with a mark where pages were retried or could not be read.
[[nodiscard]] std::string TimelineSvg(const CaptureTimeline& timeline);

}  // namespace kcoredump
