// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <system_error>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "base/cpus.h"
#include "base/error.h"
#include "base/try.h"

namespace kcoredump {

/// Work cut into numbered steps, done by several threads, each with a worker of its own; what comes
/// of them is taken by the caller's thread, in any order. For one Run.
template <typename T>
class ParallelSteps {
 public:
  using Worker = std::function<T(uint64_t step)>;

  /// `cancel`, which may be null, ends the work between two steps.
  ParallelSteps(uint64_t steps, const std::atomic<bool>* cancel)
      : steps_(steps), cancel_(cancel), results_(kQueued) {}

  /// `threads` 0: every CPU. `make_worker` is called by each thread. kCancelled; kLimitExceeded:
  /// not one worker, or too few for the steps, could be made.
  Status Run(unsigned threads, const std::function<Result<Worker>()>& make_worker,
             const std::function<void(T)>& take) {
    std::vector<std::thread> running;
    const unsigned wanted = threads != 0 ? threads : UsableCpus();
    for (unsigned i = 0; i < wanted; ++i) {
      try {
        working_.fetch_add(1);
        running.emplace_back([&] { Work(make_worker); });
      } catch (const std::system_error& failure) {
        working_.fetch_sub(1);
        if (running.empty()) return SystemError("starting a thread", failure.code().value());
        break;
      }
    }
    uint64_t taken = 0;
    while (auto result = results_.Pop()) {
      take(std::move(*result));
      ++taken;
    }
    for (std::thread& thread : running) thread.join();
    if (Cancelled()) return MakeError(ErrorCode::kCancelled, "interrupted");
    if (taken == steps_) return {};
    return MakeError(ErrorCode::kLimitExceeded, "not all could be checked: there is no memory");
  }

 private:
  static constexpr size_t kQueued = 256;

  void Work(const std::function<Result<Worker>()>& make_worker) {
    auto worker = make_worker();
    while (worker.ok() && !Cancelled()) {
      const uint64_t step = next_.fetch_add(1);
      if (step >= steps_ || !results_.Push(worker.value()(step))) break;
    }
    if (working_.fetch_sub(1) == 1) results_.Close();
  }

  [[nodiscard]] bool Cancelled() const { return cancel_ != nullptr && cancel_->load(); }

  uint64_t steps_;
  const std::atomic<bool>* cancel_;
  BoundedQueue<T> results_;
  std::atomic<uint64_t> next_{0};
  std::atomic<unsigned> working_{0};
};

}  // namespace kcoredump
