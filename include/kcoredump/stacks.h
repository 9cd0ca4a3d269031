// SPDX-License-Identifier: MIT
//
// Kernel stacks: where tasks sleep and what CPUs were doing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"

namespace kcoredump {

/// How a frame was found, the surest first.
enum class FrameSource : uint8_t {
  kRegisters,     ///< a CPU's, from the dump's notes
  kSwitch,        ///< where the task was switched away from
  kOrc,           ///< by the kernel's own unwind tables
  kFramePointer,  ///< there is no such table for this code: rbp was taken for a frame pointer
  kGuess,         ///< the way was lost: a word on the stack that a call may have left there
};

struct KernelFrame {
  uint64_t pc = 0;     ///< the next instruction: a return address, unless `interrupted`
  uint64_t sp = 0;     ///< for a guess, where the word stands
  std::string symbol;  ///< "schedule+0x5a [module]"; empty: none
  FrameSource source = FrameSource::kGuess;
  bool interrupted = false;   ///< an interrupt or exception came here
  bool in_scheduler = false;  ///< what /proc/PID/stack leaves out
};

struct KernelStack {
  uint32_t pid = 0;
  uint32_t tgid = 0;
  std::string comm;  ///< may hold anything: escape it for a terminal (ToText does)
  char state = '?';  ///< as Task::state
  std::optional<uint32_t> cpu;
  uint64_t task = 0;                ///< address of its task_struct; 0: not known
  std::vector<KernelFrame> frames;  ///< the innermost first
  std::string trouble;              ///< why there are none, or not all; empty: there are
};

struct StackOptions {
  std::optional<uint32_t> pid;  ///< of a thread
  std::optional<uint32_t> cpu;  ///< by the registers in a crash dump's notes
  /// With neither: every thread.
};

struct StackList {
  std::vector<KernelStack> stacks;  ///< by tgid, then pid
  Findings findings;
};

/// Without debuginfo, by ORC from the kernel's memory; x86_64. Tasks that run have their registers
/// in their CPU: where the image has those, they are taken from there, otherwise `trouble` says so.
/// kNotFound: no such task, or no registers of such a CPU; kUnsupported: another machine.
[[nodiscard]] Result<StackList> ListStacks(Kernel& kernel, const StackOptions& options);

/// A paragraph for each stack.
[[nodiscard]] std::string ToText(const StackList& list, const TextStyle& style);
[[nodiscard]] std::string ToJson(const StackList& list);

}  // namespace kcoredump
