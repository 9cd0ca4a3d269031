// SPDX-License-Identifier: MIT
//
// The kernel stack of a task that does not run: where it was switched away from, and who called
// that. x86_64.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/range.h"
#include "inspect/task/unwind.h"
#include "kcoredump/result.h"
#include "symbol/record.h"

namespace kcoredump {

/// The registers that a function keeps for its caller, as the switch saved them (kernel:
/// arch/x86/include/asm/switch_to.h, struct inactive_task_frame).
struct SwitchedRegisters {
  uint64_t bx = 0;
  uint64_t r12 = 0;
  uint64_t r13 = 0;
  uint64_t r14 = 0;
  uint64_t r15 = 0;
};

struct TaskStack {
  SwitchedRegisters saved;         ///< of the first frame alone
  std::vector<StackFrame> frames;  ///< the innermost, inside the scheduler, first
  /// The first frame outside of the scheduler and its sleeping primitives, where /proc/PID/stack
  /// begins; 0 where there is none.
  size_t first_outside = 0;
  std::string trouble;  ///< why the frames end too early; empty: they do not
};

/// For one thread. The sources must outlive it.
class TaskStackReader {
 public:
  /// kNotFound: BTF lacks task_struct.thread.sp or struct inactive_task_frame.
  [[nodiscard]] static Result<std::unique_ptr<TaskStackReader>> Create(
      const UnwindSources& sources);

  /// `task`: address of its task_struct. On a live kernel a task may run before its stack is read,
  /// or be gone: what was read is then given up. kNotFound: it runs, ran meanwhile, or what stands
  /// at `task` is not of `pid`; kCorrupt: its stack pointer is not within its stack; kUnreadable.
  /// `whole`: false: only up to the first frame outside.
  [[nodiscard]] Result<TaskStack> Read(uint64_t task, uint32_t pid, bool whole);
  /// Whether a CPU runs it right now; nothing: not known.
  [[nodiscard]] std::optional<bool> IsRunning(uint64_t task);
  /// Whether code is the scheduler's or one of its sleeping primitives', which /proc/PID/stack
  /// leaves out.
  [[nodiscard]] bool IsScheduler(uint64_t pc) const;
  /// The memory of a task's kernel stack.
  [[nodiscard]] Result<Range> StackOf(uint64_t task);
  /// `first` and its callers, as StackUnwinder::Walk.
  [[nodiscard]] std::vector<StackFrame> Walk(const StackFrame& first, std::string* trouble) {
    return unwinder_.Walk(first, trouble);
  }

  /// What weakens every answer.
  [[nodiscard]] std::vector<std::string> Notes() const;

 private:
  explicit TaskStackReader(const UnwindSources& sources);
  [[nodiscard]] Status FindFields();
  void FindSchedulerText();
  [[nodiscard]] std::optional<uint64_t> NumberOf(uint64_t task, const Field& field);
  [[nodiscard]] std::optional<uint64_t> SwitchesOf(uint64_t task);
  [[nodiscard]] Result<TaskStack> ReadSleeping(uint64_t task, bool whole);
  [[nodiscard]] Result<StackFrame> SwitchFrame(uint64_t task, SwitchedRegisters& saved);
  void FindOutside(TaskStack& stack) const;

  UnwindSources sources_;
  StackUnwinder unwinder_;
  uint64_t sp_offset_ = 0;     ///< in task_struct
  uint64_t stack_offset_ = 0;  ///< in task_struct
  Field on_cpu_;               ///< in task_struct
  Field pid_;                  ///< in task_struct
  Field voluntary_;            ///< in task_struct: how often it was switched away from
  Field involuntary_;          ///< in task_struct: so, too
  uint64_t stack_bytes_ = 0;
  struct SwitchOffsets {
    uint64_t bytes, bx, bp, r12, r13, r14, r15, ret;
  };
  SwitchOffsets switch_{};  ///< in struct inactive_task_frame
  std::vector<Range> scheduler_text_;
  std::vector<std::string> notes_;
};

}  // namespace kcoredump
