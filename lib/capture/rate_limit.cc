// SPDX-License-Identifier: MIT
#include "capture/rate_limit.h"

#include <algorithm>
#include <thread>

namespace kcoredump {

namespace {

/// How long a stop is not seen.
constexpr std::chrono::milliseconds kLookInterval{50};

}  // namespace

void RateLimit::Wait(uint64_t bytes, const std::atomic<bool>& stop) {
  if (bytes_per_second_ == 0) return;
  const auto cost = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
      static_cast<double>(bytes) / static_cast<double>(bytes_per_second_)));
  Clock::rep turn = next_.load();
  Clock::rep begin = 0;
  do {
    begin = std::max(turn, Clock::now().time_since_epoch().count());
  } while (!next_.compare_exchange_weak(turn, begin + cost.count()));
  const Clock::time_point at{Clock::duration(begin)};
  for (auto now = Clock::now(); now < at && !stop.load(); now = Clock::now()) {
    std::this_thread::sleep_for(std::min<Clock::duration>(at - now, kLookInterval));
  }
}

}  // namespace kcoredump
