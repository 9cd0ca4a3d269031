// SPDX-License-Identifier: MIT
#include "capture/stall.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <thread>

#include "base/bounded_queue.h"
#include "base/error.h"
#include "base/no_throw.h"
#include "base/try.h"
#include "format/registry.h"

namespace kcoredump {

namespace {

constexpr std::chrono::milliseconds kAnswerInterval{50};
constexpr std::chrono::seconds kMostALook{1};

/// What the opening thread and the waiting one have in common.
struct Opening {
  ReadWatch watch;
  BoundedQueue<Result<std::unique_ptr<MemorySource>>> answer{1};
};

}  // namespace

std::chrono::nanoseconds StallWatch::Look(const ReadWatch& watch, Clock::time_point now) {
  const int64_t started_ns = watch.started_ns.load(std::memory_order_acquire);
  const bool same = started_ns == started_ns_;
  const Clock::time_point since =
      same ? last_look_ : Clock::time_point(std::chrono::nanoseconds(started_ns));
  if (!same) seen_ = {};
  seen_ +=
      std::clamp<std::chrono::nanoseconds>(now - since, std::chrono::nanoseconds(0), kMostALook);
  started_ns_ = started_ns;
  last_look_ = now;
  return started_ns == 0 ? std::chrono::nanoseconds(0) : seen_;
}

Error DidNotReturn(const std::string& what, double seconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%g", seconds);
  return Error{.code = ErrorCode::kIo,
               .message = what + " did not return within " + text.data() + " s",
               .system_errno = ETIMEDOUT};
}

std::chrono::nanoseconds StallLimit(double seconds) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(std::min(seconds, 1e9)));
}

Result<std::shared_ptr<MemorySource>> OpenWatched(const std::string& path, double stall_seconds,
                                                  const std::atomic<bool>* cancel) {
  const auto opening = std::make_shared<Opening>();
  std::thread thread;
  try {
    thread = std::thread([opening, path] {
      const WatchedCall call(&opening->watch, kWatchOpening);
      opening->answer.Push(WithoutThrowing([&] { return OpenSource(path); }));
    });
  } catch (const std::system_error& failure) {
    return SystemError("starting a thread", failure.code().value());
  }
  for (StallWatch stall; stall.Look(opening->watch) <= StallLimit(stall_seconds);) {
    if (auto answer = opening->answer.PopFor(kAnswerInterval)) {
      thread.join();
      KCD_ASSIGN(std::unique_ptr<MemorySource> source, std::move(*answer));
      return std::shared_ptr<MemorySource>(std::move(source));
    }
    if (cancel == nullptr || !cancel->load()) continue;
    thread.detach();
    return MakeError(ErrorCode::kCancelled, "interrupted before anything was read");
  }
  thread.detach();
  return DidNotReturn("opening " + path, stall_seconds);
}

}  // namespace kcoredump
