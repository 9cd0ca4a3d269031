// SPDX-License-Identifier: MIT
#pragma once

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
  /// Ends the command, if it has not ended, and waits for that.
  ~MonitorRun();
  MonitorRun(const MonitorRun&) = delete;
  MonitorRun& operator=(const MonitorRun&) = delete;

  /// Its text comes out here; the end of it is the command's.
  [[nodiscard]] int fd() const { return in_.get(); }

 private:
  explicit MonitorRun(UniqueFd in) : in_(std::move(in)) {}
  UniqueFd in_;
  std::thread thread_;
};

}  // namespace kcoredump
