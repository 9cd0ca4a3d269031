// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "kcoredump/capture.h"

namespace kcoredump::cmd {

/// Where a capture's events go as JSON lines. Once nobody takes them any more, that is noted and
/// the capture goes on without. For one thread.
class EventLog {
 public:
  EventLog() = default;
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  /// `where`: the number of a descriptor that is open for writing, or a file, which must not be
  /// there yet unless it is a pipe or device, or `replace`.
  [[nodiscard]] Status Open(const std::string& where, bool replace);
  [[nodiscard]] int fd() const { return fd_; }
  void Write(const CaptureEvent& event);

 private:
  int fd_ = -1;  ///< −1: closed
  bool ours_ = false;
};

}  // namespace kcoredump::cmd
