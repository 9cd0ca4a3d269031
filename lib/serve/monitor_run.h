// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "serve/debug_target.h"

namespace kcoredump {

/// A `monitor` command on its way, in a thread of its own, so that whoever waits for its text, or
/// does not take it, keeps no other client waiting. For one thread.
class MonitorRun {
 public:
  /// `target` must outlive it. nullptr: the system gives no pipe or no thread.
  [[nodiscard]] static std::unique_ptr<MonitorRun> Start(const DebugTarget& target,
                                                         std::string command);
  /// Stop(), and waits for the end.
  ~MonitorRun();
  MonitorRun(const MonitorRun&) = delete;
  MonitorRun& operator=(const MonitorRun&) = delete;

  /// Its text comes out here; the end of it is the command's. −1: it was stopped.
  [[nodiscard]] int fd() const { return in_.get(); }
  /// Takes no more of its text, which ends it soon.
  void Stop() { in_.Reset(); }
  /// Whether the command is at its end.
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  explicit MonitorRun(UniqueFd in) : in_(std::move(in)) {}
  UniqueFd in_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace kcoredump
