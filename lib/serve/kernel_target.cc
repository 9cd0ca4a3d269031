// SPDX-License-Identifier: MIT
#include "serve/kernel_target.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "inspect/cpus.h"
#include "kcoredump/text.h"
#include "kernel/arch.h"

namespace kcoredump {

namespace {

/// A live kernel's lists may be torn in another way each time.
constexpr size_t kMaxTargetNotes = 64;
/// What a thread is called when the list of tasks cannot be had.
constexpr uint32_t kOnlyThread = 1;

/// Where struct user_regs_struct has each register (kernel: arch/x86/include/asm/user_64.h).
constexpr std::array<size_t, kKnownRegisters> kInUserRegs = {
    10, 5, 11, 12, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16, 18, 17, 20, 23, 24, 25, 26, 21, 22};

RegisterValues FromUserRegs(std::span<const std::byte> general) {
  RegisterValues values;
  for (size_t i = 0; i < kKnownRegisters; ++i) {
    uint64_t value = 0;
    if ((kInUserRegs[i] + 1) * sizeof(value) > general.size()) continue;
    std::memcpy(&value, general.data() + kInUserRegs[i] * sizeof(value), sizeof(value));
    values[i] = value;
  }
  return values;
}

/// What is left of the registers where a task sleeps: those that functions keep for their callers
/// are known in the frame of the switch itself, and no further out.
RegisterValues FromStack(const TaskStack& stack) {
  RegisterValues values;
  const StackFrame& frame = stack.frames[stack.first_outside];
  values[kRip] = frame.pc;
  values[kRsp] = frame.sp;
  values[kRbp] = frame.bp;
  if (stack.first_outside == 0) {
    values[kRbx] = stack.saved.bx;
    values[kR12] = stack.saved.r12;
    values[kR13] = stack.saved.r13;
    values[kR14] = stack.saved.r14;
    values[kR15] = stack.saved.r15;
  }
  return values;
}

std::string ExtraOf(const Task& task, bool running) {
  std::string text = "state " + std::string(1, task.state);
  if (task.kernel_thread) text += ", kernel thread";
  if (task.tgid != task.pid) text += ", of process " + std::to_string(task.tgid);
  if (running) text += ", on a CPU";
  return text;
}

}  // namespace

KernelTarget::KernelTarget(Kernel& kernel, MonitorCommand monitor)
    : kernel_(kernel), session_(kernel.session()), monitor_(std::move(monitor)) {
  FindStacks();
  if (!session_.live()) FindCpus();
}

void KernelTarget::AddNote(std::string text) {
  if (notes_.size() < kMaxTargetNotes &&
      std::find(notes_.begin(), notes_.end(), text) == notes_.end()) {
    notes_.push_back(std::move(text));
  }
}

void KernelTarget::FindStacks() {
  const auto types = session_.Types();
  if (!types.ok()) return AddNote("registers are not known: " + types.error().message);
  const auto modules = session_.Modules();
  auto stacks = TaskStackReader::Create(
      {.kernel = session_.kernel(),
       .types = *types.value(),
       .symbol = [this](std::string_view name) { return session_.FindSymbol(name); },
       .modules = modules.ok() ? &modules.value()->modules : nullptr});
  if (!stacks.ok()) return AddNote("registers are not known: " + stacks.error().message);
  stacks_ = std::move(stacks.value());
}

void KernelTarget::FindCpus() {
  for (const auto& [cpu, registers] : RegistersOfCpus(session_)) {
    cpus_.emplace(cpu, FromUserRegs(registers.general));
  }
}

std::vector<DebugThread> KernelTarget::ListThreads() {
  std::vector<DebugThread> threads;
  tasks_.clear();
  auto list = ListTasks(kernel_, {.threads = true, .only = {}});
  if (!list.ok()) {
    AddNote("tasks are not known: " + list.error().message);
  } else {
    for (std::string& note : list.value().findings.notes) AddNote(std::move(note));
    for (const Task& task : list.value().tasks) {
      if (task.pid == 0 || task.pid >= kFirstIdleId) continue;
      const bool running = stacks_ && stacks_->IsRunning(task.address).value_or(false);
      if (!tasks_.emplace(task.pid, KnownTask{task.address, task.cpu, running}).second) continue;
      threads.push_back({task.pid, task.comm, ExtraOf(task, running), task.cpu, running});
    }
  }
  if (stacks_) {
    for (std::string& note : stacks_->Notes()) AddNote(std::move(note));
  }
  AddIdleThreads(threads);
  if (threads.empty())
    threads.push_back({kOnlyThread, "kernel", "its tasks are not known", {}, false});
  return threads;
}

/// A CPU that no task runs on was idle when the kernel died.
void KernelTarget::AddIdleThreads(std::vector<DebugThread>& threads) const {
  std::set<uint32_t> busy;
  for (const auto& [pid, task] : tasks_) {
    if (task.cpu && task.running) busy.insert(*task.cpu);
  }
  for (const auto& [cpu, values] : cpus_) {
    if (busy.count(cpu) != 0) continue;
    threads.push_back({kFirstIdleId + cpu, "swapper/" + std::to_string(cpu),
                       "the idle task, on a CPU", cpu, true});
  }
}

std::optional<RegisterValues> KernelTarget::RegistersOfCpu(uint32_t thread) const {
  std::optional<uint32_t> cpu;
  const auto task = tasks_.find(thread);
  if (task != tasks_.end()) {
    if (task->second.running) cpu = task->second.cpu;
  } else if (thread >= kFirstIdleId) {
    cpu = thread - kFirstIdleId;
  }
  const auto found = cpu ? cpus_.find(*cpu) : cpus_.end();
  return found == cpus_.end() ? std::nullopt : std::optional(found->second);
}

RegisterValues KernelTarget::ReadRegisters(uint32_t thread) {
  if (const auto values = RegistersOfCpu(thread)) return *values;
  const auto task = tasks_.find(thread);
  if (stacks_ == nullptr || task == tasks_.end()) return {};
  const auto stack = stacks_->Read(task->second.address, false);
  return stack.ok() ? FromStack(stack.value()) : RegisterValues{};
}

Result<size_t> KernelTarget::ReadMemory(uint32_t thread, uint64_t address,
                                        std::span<std::byte> out) {
  const Architecture* arch = session_.facts().arch;
  Target at{.address = address};
  if (arch != nullptr && !arch->IsKernelAddress(address)) {
    at.space = Target::Space::kProcess;
    at.pid = thread;
  }
  std::string failure;
  return kernel_.Read(at, out, &failure);
}

std::vector<Range> KernelTarget::AddressRanges() {
  const KernelFacts& facts = session_.facts();
  if (facts.arch == nullptr) return {{0, 0}};
  const auto paging = facts.arch->PagingOf(facts.vmcoreinfo);
  if (!paging.ok()) return {{0, 0}};
  const uint64_t half = uint64_t{1} << (paging.value().virtual_bits - 1);
  return {{0, half}, {0 - half, 0}};
}

std::optional<uint64_t> KernelTarget::TextStart() {
  const auto text = session_.FindSymbol("_text");
  return text ? text : session_.FindSymbol("_stext");
}

void KernelTarget::Monitor(std::string_view command, const MonitorOutput& output) const {
  if (monitor_) return monitor_(command, output);
  (void)output("monitor commands are not offered here\n");
}

}  // namespace kcoredump
