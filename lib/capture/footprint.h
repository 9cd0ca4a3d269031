// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "kcoredump/capture.h"

namespace kcoredump {

/// What this process takes of the machine from the meter's making on (getrusage(2),
/// /proc/self/statm, mincore(2)).
class FootprintMeter {
 public:
  FootprintMeter();
  /// `output`: the file whose part in the page cache counts; "-": none does.
  [[nodiscard]] CaptureFootprint Now(const std::string& output) const;

 private:
  double cpu_seconds_;  ///< at the start, as all of these
  uint64_t faults_;
  uint64_t peak_rss_bytes_;
  uint64_t own_bytes_;  ///< resident, and no file's
};

}  // namespace kcoredump
