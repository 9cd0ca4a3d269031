// SPDX-License-Identifier: MIT
#pragma once

#include "kcoredump/inspect.h"

namespace kcoredump::test {

/// For files of a few frames, thousands of times.
[[nodiscard]] inline VerifyOptions OneThread() {
  VerifyOptions options;
  options.threads = 1;
  return options;
}

}  // namespace kcoredump::test
