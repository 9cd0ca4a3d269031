// SPDX-License-Identifier: MIT
//
// One debugger at the other end of two descriptors: its packets in, the stub's answers out.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "serve/gdb_stub.h"
#include "serve/monitor_run.h"
#include "serve/packet.h"

namespace kcoredump {

/// For one thread.
class Client {
 public:
  using Clock = std::chrono::steady_clock;

  /// Both descriptors become non-blocking. `name` is for messages.
  Client(DebugTarget& target, UniqueFd in, UniqueFd out, std::string name);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] int in() const { return in_.get(); }
  [[nodiscard]] int out() const { return out_.get(); }
  /// Where the text of its `monitor` command comes from; −1: it waits for none, or takes none now.
  [[nodiscard]] int monitor() const { return run_ && !has_unsent() ? run_->fd() : -1; }
  [[nodiscard]] const std::string& name() const { return name_; }
  /// Why it is gone, or is to go; empty: it is there.
  [[nodiscard]] const std::string& end() const { return end_; }
  [[nodiscard]] bool done() const { return !end_.empty() && unsent_.empty(); }
  [[nodiscard]] bool has_unsent() const { return !unsent_.empty(); }
  /// Whether more of its packets may be taken: not while it does not take their answers.
  [[nodiscard]] bool wants_input() const { return end_.empty() && unsent_.empty(); }

  /// Whether it has sent a packet that makes sense.
  [[nodiscard]] bool has_spoken() const { return spoken_; }

  /// Takes some of what there is and answers: then others have their turn.
  void OnReadable();
  void OnWritable() { Flush(); }
  void OnMonitor();
  /// Gives it up when it has kept us waiting for too long.
  void CheckTime(Clock::time_point now);
  void GiveUp(std::string reason);

 private:
  void TakeEvent(const PacketEvent& event);
  void TakePacket(std::string_view content);
  void Answer(std::string_view content);
  void EndMonitor();
  void Send(std::string_view bytes);
  void Flush();

  DebugTarget& target_;
  UniqueFd in_;
  UniqueFd out_;
  int flags_in_ = -1;  ///< as they were
  int flags_out_ = -1;
  std::string name_;
  GdbStub stub_;
  PacketParser parser_;
  std::unique_ptr<MonitorRun> run_;  ///< nullptr: none
  std::string unsent_;
  std::string last_packet_;  ///< for a client that asks for it again
  std::string end_;
  bool acks_ = true;
  bool spoken_ = false;
  const Clock::time_point came_ = Clock::now();
  Clock::time_point taken_ = came_;  ///< when it last took something of what we send
};

}  // namespace kcoredump
