// SPDX-License-Identifier: MIT
//
// Answers packets of GDB's remote protocol (GDB manual, appendix E) about a target that can be
// looked at and never touched. LLDB speaks the same.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/debug_target.h"

namespace kcoredump {

/// What a packet is answered with.
struct StubReply {
  std::string content = {};  ///< empty: the protocol's "I do not know this packet"
  bool silent = false;       ///< no answer at all
  bool no_acks = false;      ///< from the next packet on
  bool hang_up = false;      ///< after the answer
  /// A command of `monitor`: what it prints is the answer, as the debugger's console shows it.
  std::optional<std::string> monitor = {};
};

/// One debugger's session. For one thread.
class GdbStub {
 public:
  /// `target` must outlive it.
  explicit GdbStub(DebugTarget& target) : target_(target) {}

  [[nodiscard]] StubReply Answer(std::string_view content);

 private:
  using Rest = std::string_view;
  [[nodiscard]] StubReply AnswerLetter(char letter, Rest rest);
  [[nodiscard]] StubReply AnswerQuery(Rest query);
  [[nodiscard]] StubReply AnswerV(Rest rest);
  [[nodiscard]] StubReply ReadMemory(Rest rest);
  [[nodiscard]] StubReply ReadRegister(Rest rest);
  [[nodiscard]] StubReply SetThread(Rest rest);
  [[nodiscard]] StubReply IsAlive(Rest rest);
  [[nodiscard]] StubReply MoreThreads();
  [[nodiscard]] StubReply ThreadExtra(Rest rest);
  [[nodiscard]] StubReply StopOf(Rest rest);
  [[nodiscard]] StubReply RegionOf(Rest rest);
  [[nodiscard]] StubReply Transfer(Rest rest);

  void ListThreads();
  [[nodiscard]] const DebugThread* FindThread(uint64_t id) const;
  /// The thread that register and memory packets are about.
  [[nodiscard]] uint32_t CurrentThread();
  [[nodiscard]] RegisterValues CurrentRegisters();
  [[nodiscard]] std::string StopReply(const std::string& stop, uint32_t id) const;
  [[nodiscard]] std::string ThreadsDocument();
  [[nodiscard]] std::string MemoryMapDocument();

  DebugTarget& target_;
  std::vector<DebugThread> threads_;  ///< as last listed
  size_t threads_told_ = 0;           ///< of them, in answers to qfThreadInfo and qsThreadInfo
  uint32_t current_ = 0;              ///< 0: none was chosen
  uint32_t nowhere_ = 0;              ///< the one chosen for lack of any with a program counter
  bool probed_ = false;               ///< LLDB has asked for register 0
  std::map<std::string, std::string, std::less<>> documents_;  ///< of qXfer, as begun
};

}  // namespace kcoredump
