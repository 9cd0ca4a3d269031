// SPDX-License-Identifier: MIT
#include "kcoredump/stacks.h"

#include <elf.h>

#include <cstring>
#include <map>

#include "base/error.h"
#include "base/try.h"
#include "inspect/cpus.h"
#include "inspect/session.h"
#include "inspect/task/stack_guess.h"
#include "inspect/task/task_stack.h"
#include "kcoredump/tasks.h"
#include "kcoredump/text.h"
#include "kernel/arch.h"

namespace kcoredump {

namespace {

/// Of all stacks together, and stacks whose rest is guessed at: forged tasks may be millions.
constexpr size_t kMaxFramesOfAll = 2 << 20;
constexpr size_t kMaxGuessedStacks = 4096;
/// Where struct user_regs_struct has rbp (kernel: arch/x86/include/asm/user_64.h).
constexpr size_t kBpInUserRegs = 4;

/// A snapshot of a kernel that lives on has none.
std::map<uint32_t, StackFrame> PlacesOfCpus(Session& session) {
  std::map<uint32_t, StackFrame> places;
  for (const auto& [cpu, registers] : RegistersOfCpus(session)) {
    StackFrame place{
        .pc = registers.instruction_pointer, .sp = registers.stack_pointer, .interrupted = true};
    uint64_t bp = 0;
    if (registers.general.size() >= (kBpInUserRegs + 1) * sizeof(bp)) {
      std::memcpy(&bp, registers.general.data() + kBpInUserRegs * sizeof(bp), sizeof(bp));
      place.bp = bp;
    }
    places.emplace(cpu, place);
  }
  return places;
}

class StackLister {
 public:
  [[nodiscard]] static Result<std::unique_ptr<StackLister>> Create(Session& session);

  [[nodiscard]] KernelStack OfTask(const Task& task);
  [[nodiscard]] Result<KernelStack> OfCpu(uint32_t cpu, const std::vector<Task>& tasks);
  [[nodiscard]] Findings TakeFindings();

 private:
  StackLister(Session& session, std::unique_ptr<TaskStackReader> reader)
      : session_(session), reader_(std::move(reader)), cpus_(PlacesOfCpus(session)) {}
  void Follow(const StackFrame& first, KernelStack& out);
  void AddFrames(const std::vector<StackFrame>& frames, FrameSource first, KernelStack& out);
  void Guess(KernelStack& out);
  [[nodiscard]] std::string NameOf(const StackFrame& frame);
  [[nodiscard]] const StackFrame* PlaceOfRunning(const Task& task) const;

  Session& session_;
  std::unique_ptr<TaskStackReader> reader_;
  std::map<uint32_t, StackFrame> cpus_;
  size_t guesses_left_ = kMaxGuessedStacks;
  Findings findings_;
};

Result<std::unique_ptr<StackLister>> StackLister::Create(Session& session) {
  if (session.source().machine() != EM_X86_64) {
    return MakeError(ErrorCode::kUnsupported, "stacks of this machine are not known: x86_64 alone");
  }
  KCD_ASSIGN(const TypeCatalog* types, session.NeedTypes());
  const auto modules = session.Modules();
  KCD_ASSIGN(auto reader,
             TaskStackReader::Create(
                 {.kernel = session.kernel(),
                  .types = *types,
                  .symbol = [&session](std::string_view name) { return session.FindSymbol(name); },
                  .modules = modules.ok() ? &modules.value()->modules : nullptr}));
  return std::unique_ptr<StackLister>(new StackLister(session, std::move(reader)));
}

/// A call may be the last instruction of its function: it is the one before that is looked up.
std::string StackLister::NameOf(const StackFrame& frame) {
  const auto table = session_.Symbols();
  if (!table.ok()) return {};
  const auto symbol = table.value()->Containing(frame.lookup_pc());
  if (!symbol) return {};
  std::string text = std::string(symbol->name) + "+" + Hex(frame.pc - symbol->address);
  if (!symbol->module.empty()) text += " [" + std::string(symbol->module) + "]";
  return text;
}

void StackLister::AddFrames(const std::vector<StackFrame>& frames, FrameSource first,
                            KernelStack& out) {
  for (const StackFrame& frame : frames) {
    out.frames.push_back({.pc = frame.pc,
                          .sp = frame.sp,
                          .symbol = NameOf(frame),
                          .source = frame.method == FrameMethod::kStart ? first
                                    : frame.method == FrameMethod::kFramePointer
                                        ? FrameSource::kFramePointer
                                        : FrameSource::kOrc,
                          .interrupted = frame.interrupted,
                          .in_scheduler = reader_->IsScheduler(frame.pc)});
  }
  if (!out.trouble.empty()) Guess(out);
}

/// What the rest of the stack may hold, behind the last frame that is known.
void StackLister::Guess(KernelStack& out) {
  if (guesses_left_ == 0) return;
  --guesses_left_;
  const auto stack = out.task != 0 ? reader_->StackOf(out.task) : Result<Range>(Range{});
  const auto table = session_.Symbols();
  if (!stack.ok() || !table.ok()) return;
  const uint64_t from = out.frames.empty() ? stack.value().begin : out.frames.back().sp;
  if (!stack.value().Contains(from)) return;
  const auto is_code = [&](uint64_t pc) {
    const auto symbol = table.value()->Containing(pc);
    return symbol && std::string_view("tTwW").find(symbol->type) != std::string_view::npos;
  };
  for (const GuessedFrame& guess :
       GuessFrames(session_.kernel(), {from, stack.value().end}, is_code)) {
    const StackFrame frame{.pc = guess.pc, .sp = guess.at};
    out.frames.push_back({.pc = guess.pc,
                          .sp = guess.at,
                          .symbol = NameOf(frame),
                          .source = FrameSource::kGuess,
                          .in_scheduler = reader_->IsScheduler(guess.pc)});
  }
}

/// From a CPU's registers on.
void StackLister::Follow(const StackFrame& first, KernelStack& out) {
  const Architecture* arch = session_.facts().arch;
  if (arch != nullptr && !arch->IsKernelAddress(first.pc)) {
    out.frames.push_back({.pc = first.pc,
                          .sp = first.sp,
                          .symbol = {},
                          .source = FrameSource::kRegisters,
                          .interrupted = true});
    out.trouble = "it was in user space";
    return;
  }
  const auto frames = reader_->Walk(first, &out.trouble);
  AddFrames(frames, FrameSource::kRegisters, out);
}

const StackFrame* StackLister::PlaceOfRunning(const Task& task) const {
  if (!task.cpu || !reader_->IsRunning(task.address).value_or(false)) return nullptr;
  const auto place = cpus_.find(*task.cpu);
  return place == cpus_.end() ? nullptr : &place->second;
}

KernelStack StackLister::OfTask(const Task& task) {
  KernelStack out;
  out.pid = task.pid;
  out.tgid = task.tgid;
  out.comm = task.comm;
  out.state = task.state;
  out.cpu = task.cpu;
  out.task = task.address;
  if (const StackFrame* place = PlaceOfRunning(task)) {
    Follow(*place, out);
    return out;
  }
  const auto stack = reader_->Read(task.address, task.pid, true);
  if (stack.ok()) {
    out.trouble = stack.value().trouble;
    AddFrames(stack.value().frames, FrameSource::kSwitch, out);
    return out;
  }
  out.trouble = stack.error().message;
  if (stack.error().code == ErrorCode::kUnreadable) {
    findings_.Lost("the stack of task " + std::to_string(task.pid) + ": " + out.trouble);
  }
  return out;
}

Result<KernelStack> StackLister::OfCpu(uint32_t cpu, const std::vector<Task>& tasks) {
  const auto place = cpus_.find(cpu);
  if (place == cpus_.end()) {
    return MakeError(
        ErrorCode::kNotFound,
        "the image has no registers of CPU " + std::to_string(cpu) +
            (cpus_.empty() ? ": only dumps of a crash and of a hypervisor have any" : ""));
  }
  KernelStack out;
  out.cpu = cpu;
  out.comm = "swapper/" + std::to_string(cpu);
  out.state = 'I';
  for (const Task& task : tasks) {
    // The pid of a hypervisor's note is the number of the CPU.
    if (task.cpu != cpu || !reader_->IsRunning(task.address).value_or(false)) continue;
    out.pid = task.pid;
    out.tgid = task.tgid;
    out.comm = task.comm;
    out.state = task.state;
    out.task = task.address;
  }
  Follow(place->second, out);
  return out;
}

Findings StackLister::TakeFindings() {
  for (std::string& note : reader_->Notes()) findings_.Add(std::move(note));
  if (guesses_left_ == 0) {
    findings_.Add("the rest of stacks was guessed at for the first " + Grouped(kMaxGuessedStacks) +
                  " of those that cannot be followed");
  }
  LimitNotes(findings_.notes);
  return std::move(findings_);
}

}  // namespace

Result<StackList> ListStacks(Kernel& kernel, const StackOptions& options) {
  Session& session = kernel.session();
  KCD_ASSIGN(const auto lister, StackLister::Create(session));
  TaskOptions wanted{.threads = true, .only = {}};
  if (options.pid) wanted.only = {std::to_string(*options.pid)};
  KCD_ASSIGN(const TaskList tasks, ListTasks(kernel, wanted));
  StackList list;
  list.findings = tasks.findings;
  if (options.cpu) {
    KCD_ASSIGN(list.stacks.emplace_back(), lister->OfCpu(*options.cpu, tasks.tasks));
  } else {
    size_t frames = 0;
    for (const Task& task : tasks.tasks) {
      // Of a process, ListTasks gives all threads.
      if (options.pid && task.pid != *options.pid) continue;
      list.stacks.push_back(lister->OfTask(task));
      frames += list.stacks.back().frames.size();
      if (frames <= kMaxFramesOfAll) continue;
      list.findings.Lost("only the first " + Grouped(list.stacks.size()) +
                         " stacks are listed: more have more than " + Grouped(kMaxFramesOfAll) +
                         " frames");
      break;
    }
  }
  Findings more = lister->TakeFindings();
  for (std::string& note : more.notes) list.findings.Add(std::move(note));
  list.findings.incomplete = list.findings.incomplete || more.incomplete;
  return list;
}

}  // namespace kcoredump
