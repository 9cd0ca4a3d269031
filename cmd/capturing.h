// SPDX-License-Identifier: MIT
//
// What capture and convert have in common: both write an image.
#pragma once

#include <string>

#include "cmd/commands.h"
#include "kcoredump/capture.h"

namespace kcoredump::cmd {

struct CaptureArguments {
  CaptureOptions options;
  uint64_t frame_bytes = 0;       ///< 0: the default
  std::vector<std::string> only;  ///< lists of what alone is captured
  bool json = false;
  std::string progress = "auto";
  bool idle = false;
  std::string events;  ///< a descriptor's number or a file; empty: none are written
};

/// `name`: the option that says which format is written.
void AddFormatOption(CLI::App& command, const std::string& name, CaptureArguments& arguments);

/// Options of how an image is written, and of what is said meanwhile.
void AddCapturingOptions(CLI::App& command, CaptureArguments& arguments);

/// Captures, says what came of it, and returns the exit status. `noun`: "capture", "conversion".
[[nodiscard]] int RunCapture(CaptureArguments& arguments, const std::string& noun);

}  // namespace kcoredump::cmd
