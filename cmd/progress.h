// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kcoredump/capture.h"

namespace kcoredump::cmd {

/// Shows how a capture goes on standard error. For one thread.
class ProgressDisplay {
 public:
  virtual ~ProgressDisplay() = default;
  virtual void Show(const CaptureProgress& progress) = 0;
  /// Leaves the terminal as it was.
  virtual void Clear() {}
};

/// `mode`: "auto" (a bar on a terminal, else nothing), "bar", "json" (a line each), "none".
[[nodiscard]] std::unique_ptr<ProgressDisplay> MakeProgressDisplay(const std::string& mode);

/// A bar of verification, where standard error is a terminal.
void ShowVerifyProgress(uint64_t done, uint64_t total);
void ClearProgressLine();

[[nodiscard]] std::string HumanSeconds(double seconds);

}  // namespace kcoredump::cmd
