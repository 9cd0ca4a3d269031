// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "kcoredump/capture.h"

namespace kcoredump {

/// What this process takes of the machine from the meter's making on (getrusage(2), mincore(2)).
class FootprintMeter {
 public:
  FootprintMeter();
  /// `output`: the file whose part in the page cache counts; "-": none does.
  [[nodiscard]] CaptureFootprint Now(const std::string& output) const;

 private:
  CaptureFootprint start_;
};

}  // namespace kcoredump
