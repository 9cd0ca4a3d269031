// SPDX-License-Identifier: MIT
//
// What a stack may hold where it cannot be followed.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/range.h"
#include "space/memory_view.h"

namespace kcoredump {

/// Words of one stack that are looked at: more would not be read.
inline constexpr size_t kMaxGuesses = 64;

struct GuessedFrame {
  uint64_t pc = 0;
  uint64_t at = 0;  ///< where it stands
};

/// Words of `stack` that are addresses of code right behind a call instruction (x86_64), at most
/// kMaxGuesses. `is_code`: whether a function contains an address. Unreadable memory has none.
[[nodiscard]] std::vector<GuessedFrame> GuessFrames(
    MemoryView& kernel, const Range& stack, const std::function<bool(uint64_t pc)>& is_code);

}  // namespace kcoredump
