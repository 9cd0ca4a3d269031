// SPDX-License-Identifier: MIT
#include "capture/rate_limit.h"

#include <algorithm>
#include <thread>

namespace kcoredump {

namespace {

/// How long a stop is not seen.
constexpr std::chrono::milliseconds kStopInterval{50};

}  // namespace

RateLimit::Clock::time_point RateLimit::Take(uint64_t bytes, Clock::time_point now) {
  if (bytes_per_second_ == 0) return now;
  const auto lasts = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
      static_cast<double>(bytes) / static_cast<double>(bytes_per_second_)));
  Clock::time_point next = next_.load();
  Clock::time_point begin;
  do {
    begin = std::max(next, now);
  } while (!next_.compare_exchange_weak(next, begin + lasts));
  return begin;
}

void RateLimit::Wait(uint64_t bytes, const std::atomic<bool>& stop) {
  auto now = Clock::now();
  for (const auto begin = Take(bytes, now); now < begin && !stop.load(); now = Clock::now()) {
    std::this_thread::sleep_for(std::min<Clock::duration>(begin - now, kStopInterval));
  }
}

}  // namespace kcoredump
