// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "support/test_bytes.h"

namespace kcoredump::test {

struct FuzzTarget {
  std::string_view name;
  void (*run)(std::span<const std::byte> input);
  /// Sound inputs to start from.
  std::vector<Bytes> (*seeds)();
};

[[nodiscard]] std::span<const FuzzTarget> FuzzTargets();

}  // namespace kcoredump::test
