// SPDX-License-Identifier: MIT
#include "inspect/task/task_stack.h"

#include <algorithm>
#include <array>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"
#include "symbol/record.h"

namespace kcoredump {

namespace {

constexpr uint64_t kUsualStackBytes = 16 << 10;
constexpr uint64_t kMaxStackBytes = 256 << 10;

}  // namespace

TaskStackReader::TaskStackReader(const UnwindSources& sources)
    : sources_(sources), unwinder_(sources) {}

Result<std::unique_ptr<TaskStackReader>> TaskStackReader::Create(const UnwindSources& sources) {
  std::unique_ptr<TaskStackReader> reader(new TaskStackReader(sources));
  KCD_TRY(reader->FindFields());
  reader->FindSchedulerText();
  return reader;
}

Status TaskStackReader::FindFields() {
  KCD_ASSIGN(const Layout task, Layout::Of(sources_.types, "struct task_struct"));
  KCD_ASSIGN(const Field sp, task.Need("thread.sp"));
  KCD_ASSIGN(const Field stack, task.Need("stack"));
  sp_offset_ = sp.offset;
  stack_offset_ = stack.offset;
  on_cpu_ = task.Find("on_cpu", "tasks that run cannot be told from others", notes_);
  pid_ = task.Find("pid", "tasks that are gone cannot be told from others", notes_);
  voluntary_ = task.Find("nvcsw", "a task that runs meanwhile is not noticed", notes_);
  involuntary_ = task.Find("nivcsw", "a task that runs meanwhile is not noticed", notes_);

  KCD_ASSIGN(const Layout saved, Layout::Of(sources_.types, "struct inactive_task_frame"));
  switch_.bytes = saved.bytes();
  const std::array<std::pair<const char*, uint64_t SwitchOffsets::*>, 7> members = {{
      {"bx", &SwitchOffsets::bx},
      {"bp", &SwitchOffsets::bp},
      {"r12", &SwitchOffsets::r12},
      {"r13", &SwitchOffsets::r13},
      {"r14", &SwitchOffsets::r14},
      {"r15", &SwitchOffsets::r15},
      {"ret_addr", &SwitchOffsets::ret},
  }};
  for (const auto& [name, offset] : members) {
    KCD_ASSIGN(const Field field, saved.Need(name));
    switch_.*offset = field.offset;
  }
  const auto bytes = sources_.types.SizeOf("union thread_union");
  stack_bytes_ = bytes.ok() ? std::min(bytes.value(), kMaxStackBytes) : kUsualStackBytes;
  return {};
}

/// What in_sched_functions() of kernel/sched/core.c takes for the scheduler, which is what
/// /proc/PID/stack leaves out.
void TaskStackReader::FindSchedulerText() {
  for (const auto& [start, end] : {std::pair("__sched_text_start", "__sched_text_end"),
                                   std::pair("__lock_text_start", "__lock_text_end")}) {
    const auto begin = sources_.symbol(start);
    const auto last = sources_.symbol(end);
    if (begin && last && *begin <= *last) {
      scheduler_text_.push_back({*begin, *last});
    } else {
      notes_.push_back(std::string("no symbols ") + start + " and " + end +
                       ": stacks may begin inside the scheduler");
    }
  }
}

/// Nothing: not known.
std::optional<uint64_t> TaskStackReader::NumberOf(uint64_t task, const Field& field) {
  if (!field.known()) return std::nullopt;
  Record record;
  if (!record.Load(sources_.kernel, task + field.offset, field.bytes).ok()) return std::nullopt;
  return record.Unsigned(Field{.offset = 0, .bytes = field.bytes});
}

std::optional<bool> TaskStackReader::IsRunning(uint64_t task) {
  const auto on_cpu = NumberOf(task, on_cpu_);  // an int, or in newer kernels a byte
  return on_cpu ? std::optional(*on_cpu != 0) : std::nullopt;
}

/// Counted before a CPU lets go of the task (kernel: kernel/sched/core.c, __schedule).
std::optional<uint64_t> TaskStackReader::SwitchesOf(uint64_t task) {
  const auto voluntary = NumberOf(task, voluntary_);
  const auto involuntary = NumberOf(task, involuntary_);
  return voluntary && involuntary ? std::optional(*voluntary + *involuntary) : std::nullopt;
}

/// The frame that called the switch (kernel: arch/x86/entry/entry_64.S, __switch_to_asm).
Result<StackFrame> TaskStackReader::SwitchFrame(uint64_t task, SwitchedRegisters& saved) {
  KCD_ASSIGN(const uint64_t sp, sources_.kernel.ReadValue<uint64_t>(task + sp_offset_));
  KCD_ASSIGN(const uint64_t stack, sources_.kernel.ReadValue<uint64_t>(task + stack_offset_));
  if (sp < stack || sp - stack > stack_bytes_ - std::min(stack_bytes_, switch_.bytes)) {
    return Corrupt("the saved stack pointer " + HexAddress(sp) + " is not within the stack at " +
                   HexAddress(stack));
  }
  Record record;
  KCD_TRY(record.Load(sources_.kernel, sp, switch_.bytes));
  const auto word = [&](uint64_t offset) {
    return record.Unsigned(Field{.offset = offset, .bytes = 8});
  };
  saved = {.bx = word(switch_.bx),
           .r12 = word(switch_.r12),
           .r13 = word(switch_.r13),
           .r14 = word(switch_.r14),
           .r15 = word(switch_.r15)};
  StackFrame frame{.pc = word(switch_.ret), .sp = sp + switch_.bytes};
  frame.bp = word(switch_.bp);
  // A new task has not been called from anywhere: it begins at its first instruction.
  for (const char* start : {"ret_from_fork", "ret_from_fork_asm"}) {
    if (sources_.symbol(start) == frame.pc) frame.interrupted = true;
  }
  if (frame.interrupted || scheduler_text_.empty() || IsScheduler(frame.pc)) return frame;
  return Corrupt("its stack is not one that was switched away from: " + HexAddress(frame.pc) +
                 " is not in the scheduler; it ran while memory was read");
}

bool TaskStackReader::IsScheduler(uint64_t pc) const {
  return std::any_of(scheduler_text_.begin(), scheduler_text_.end(),
                     [&](const Range& range) { return range.Contains(pc); });
}

Result<Range> TaskStackReader::StackOf(uint64_t task) {
  KCD_ASSIGN(const uint64_t stack, sources_.kernel.ReadValue<uint64_t>(task + stack_offset_));
  const auto end = CheckedAdd(stack, stack_bytes_);
  if (!end) return Corrupt("the stack at " + HexAddress(stack) + " has no end");
  return Range{stack, *end};
}

void TaskStackReader::FindOutside(TaskStack& stack) const {
  for (size_t i = 0; i < stack.frames.size(); ++i) {
    if (IsScheduler(stack.frames[i].pc)) continue;
    stack.first_outside = i;
    return;
  }
}

Result<TaskStack> TaskStackReader::Read(uint64_t task, uint32_t pid, bool whole) {
  const auto runs = [&] {
    return MakeError(ErrorCode::kNotFound, "it runs: its registers are in its CPU");
  };
  const auto before = SwitchesOf(task);
  if (IsRunning(task).value_or(false)) return runs();
  auto stack = ReadSleeping(task, whole);
  if (IsRunning(task).value_or(false)) return runs();
  if (NumberOf(task, pid_).value_or(pid) != pid) {
    return MakeError(ErrorCode::kNotFound, "it is gone, and its place is another task's");
  }
  if (SwitchesOf(task) != before) {
    return MakeError(ErrorCode::kNotFound, "it ran while its stack was read");
  }
  return stack;
}

Result<TaskStack> TaskStackReader::ReadSleeping(uint64_t task, bool whole) {
  TaskStack stack;
  KCD_ASSIGN(const StackFrame first, SwitchFrame(task, stack.saved));
  if (whole) {
    stack.frames = unwinder_.Walk(first, &stack.trouble);
  } else {
    stack.frames.push_back(first);
    while (IsScheduler(stack.frames.back().pc) && stack.frames.size() < kMaxStackFrames) {
      auto caller = unwinder_.Caller(stack.frames.back());
      if (!caller.ok()) stack.trouble = caller.error().message;
      if (!caller.ok() || !caller.value()) break;
      stack.frames.push_back(*caller.value());
    }
  }
  FindOutside(stack);
  return stack;
}

std::vector<std::string> TaskStackReader::Notes() const {
  std::vector<std::string> notes = notes_;
  notes.insert(notes.end(), unwinder_.notes().begin(), unwinder_.notes().end());
  return notes;
}

}  // namespace kcoredump
