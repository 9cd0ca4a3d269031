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
  /// 0: no limit.
  explicit RateLimit(uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  /// Returns when `bytes` may be read; earlier when `stop` is set.
  void Wait(uint64_t bytes, const std::atomic<bool>& stop);

 private:
  using Clock = std::chrono::steady_clock;

  const uint64_t bytes_per_second_;
  std::atomic<Clock::rep> next_{0};  ///< the clock's ticks when the next read may begin
};

}  // namespace kcoredump
