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
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr std::chrono::milliseconds kAnswerInterval{50};
constexpr std::chrono::seconds kMostALook{1};

/// What the watched thread and the waiting one have in common.
struct WatchedRun {
  std::function<Status(ReadWatch*)> call;
  ReadWatch watch;
  BoundedQueue<Status> answer{1};
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

std::string DescribeWatched(uint64_t address, const std::string& source) {
  return address == kWatchOpening ? "opening " + source
                                  : "the read at physical " + HexAddress(address);
}

Status RunWatched(std::function<Status(ReadWatch*)> call, const std::string& source,
                  double stall_seconds, const std::function<bool()>& go_on) {
  const auto run = std::make_shared<WatchedRun>();
  run->call = std::move(call);
  std::thread thread;
  try {
    thread = std::thread(
        [run] { run->answer.Push(WithoutThrowing([&] { return run->call(&run->watch); })); });
  } catch (const std::system_error& failure) {
    return SystemError("starting a thread", failure.code().value());
  }
  for (StallWatch stall; stall.Look(run->watch) <= StallLimit(stall_seconds);) {
    if (auto answer = run->answer.PopFor(kAnswerInterval)) {
      thread.join();
      return std::move(*answer);
    }
    if (go_on()) continue;
    thread.detach();
    return MakeError(ErrorCode::kCancelled, "interrupted");
  }
  thread.detach();
  return DidNotReturn(DescribeWatched(run->watch.address.load(), source), stall_seconds);
}

Result<std::shared_ptr<MemorySource>> OpenWatched(const std::string& path, double stall_seconds,
                                                  const std::atomic<bool>* cancel) {
  const auto opened = std::make_shared<std::shared_ptr<MemorySource>>();
  const auto open = [opened, path](ReadWatch* watch) -> Status {
    const WatchedCall call(watch, kWatchOpening);
    KCD_ASSIGN(*opened, OpenSource(path));
    return {};
  };
  const auto go_on = [cancel] { return cancel == nullptr || !cancel->load(); };
  if (Status done = RunWatched(open, path, stall_seconds, go_on); !done.ok()) {
    if (done.error().code == ErrorCode::kCancelled) {
      done.error().message += " before anything was read";
    }
    return std::move(done.error());
  }
  return std::move(*opened);
}

}  // namespace kcoredump
