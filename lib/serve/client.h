// SPDX-License-Identifier: MIT
//
// One debugger at the other end of two descriptors: its packets in, the stub's answers out.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "serve/gdb_stub.h"
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
  [[nodiscard]] const std::string& name() const { return name_; }
  /// Why it is gone, or is to go; empty: it is there.
  [[nodiscard]] const std::string& end() const { return end_; }
  [[nodiscard]] bool done() const { return !end_.empty() && unsent_.empty(); }
  [[nodiscard]] bool has_unsent() const { return !unsent_.empty(); }
  /// Whether more of its packets may be taken: not while it does not take their answers.
  [[nodiscard]] bool wants_input() const { return end_.empty() && unsent_.empty(); }

  /// Takes what there is, up to some packets' worth, and answers.
  void OnReadable();
  void OnWritable() { Flush(); }
  /// Gives it up when it has kept us waiting for too long.
  void CheckTime(Clock::time_point now);

 private:
  void TakeEvent(const PacketEvent& event);
  void Send(std::string packet);
  void Flush();
  [[nodiscard]] bool SendProgress(std::string_view content);

  UniqueFd in_;
  UniqueFd out_;
  int flags_in_ = -1;  ///< as they were
  int flags_out_ = -1;
  std::string name_;
  GdbStub stub_;
  PacketParser parser_;
  std::string unsent_;
  std::string last_packet_;  ///< for a client that asks for it again
  std::string end_;
  bool acks_ = true;
  bool spoken_ = false;                     ///< it has sent a sound packet
  Clock::time_point since_ = Clock::now();  ///< it came, or does not take what we send
};

}  // namespace kcoredump
