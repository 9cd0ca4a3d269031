// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace kcoredump {

/// Holds readers back to so many bytes a second. What was not used is not saved up: a writer that
/// was slow is not followed by a burst. Any thread may call.
class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;

  /// 0: no limit.
  explicit RateLimit(uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  /// Takes a turn that lasts as long as `bytes` may take, and returns when it begins.
  [[nodiscard]] Clock::time_point Take(uint64_t bytes, Clock::time_point now);

  /// The same, and waits until then; shorter when `stop` is set.
  void Wait(uint64_t bytes, const std::atomic<bool>& stop);

 private:
  const uint64_t bytes_per_second_;
  std::atomic<Clock::time_point> next_{Clock::time_point()};  ///< when the latest turn ends
};

}  // namespace kcoredump
