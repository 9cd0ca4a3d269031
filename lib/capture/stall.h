// SPDX-License-Identifier: MIT
//
// Reads that never return: seen, named, and left behind.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "source/memory_source.h"
#include "source/page_reader.h"

namespace kcoredump {

/// Tells a call that does not return from a pause of our own: time counts as it is seen to pass,
/// at most a second from one look to the next, so that a process that was stopped (SIGSTOP, a
/// frozen guest) has not stalled. For one thread.
class StallWatch {
 public:
  using Clock = std::chrono::steady_clock;

  /// For how long the call that `watch` shows has been seen under way; 0: none is.
  [[nodiscard]] std::chrono::nanoseconds Look(const ReadWatch& watch,
                                              Clock::time_point now = Clock::now());

 private:
  int64_t started_ns_ = 0;
  Clock::time_point last_look_;
  std::chrono::nanoseconds seen_{0};
};

/// kIo, ETIMEDOUT: "WHAT did not return within 30 s".
[[nodiscard]] Error DidNotReturn(const std::string& what, double seconds);

/// --stall-timeout as a duration.
[[nodiscard]] std::chrono::nanoseconds StallLimit(double seconds);

/// What a ReadWatch shows, in words: "opening SOURCE", "the read at physical 0x…".
[[nodiscard]] std::string DescribeWatched(uint64_t address, const std::string& source);

/// Runs `call` on a thread of its own and asks meanwhile, some 20 times a second, whether to
/// `go_on`. The thread is left behind, so that `call` must own what it touches, when a call that it
/// shows in its watch does not return within `stall_seconds` (DidNotReturn) or when it is not to go
/// on (kCancelled).
[[nodiscard]] Status RunWatched(std::function<Status(ReadWatch*)> call, const std::string& source,
                                double stall_seconds, const std::function<bool()>& go_on);

/// OpenSource on a thread of its own, which is left behind when it does not return within
/// `stall_seconds` (DidNotReturn) or before `cancel`, which may be null, is set (kCancelled).
[[nodiscard]] Result<std::shared_ptr<MemorySource>> OpenWatched(const std::string& path,
                                                                double stall_seconds,
                                                                const std::atomic<bool>* cancel);

}  // namespace kcoredump
