// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <string>

#include "kcoredump/capture.h"

namespace kcoredump::cmd {

/// Where a capture's events go as JSON lines. Once nobody takes them any more, that is noted and
/// the capture goes on without. For one thread.
class EventLog {
 public:
  /// `cancel`: the capture is to end, and with it the patience. May be null.
  explicit EventLog(const std::atomic<bool>* cancel) : cancel_(cancel) {}
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  /// `where`: the number of a descriptor that is open for writing, or a file, which must not be
  /// there yet unless it is a pipe or device, or `replace`.
  [[nodiscard]] Status Open(const std::string& where, bool replace);
  /// Whether they would get in the way of what goes to standard output.
  [[nodiscard]] bool IsStandardOutput() const;
  /// Progress is left out while there is no room for it; for all else a slow reader is waited for,
  /// some seconds.
  void Write(const CaptureEvent& event);

 private:
  [[nodiscard]] bool WaitForRoom(bool may_skip);
  void GiveUp(const std::string& reason);

  const std::atomic<bool>* cancel_;
  int fd_ = -1;  ///< −1: closed
  bool ours_ = false;
};

}  // namespace kcoredump::cmd
