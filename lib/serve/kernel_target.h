// SPDX-License-Identifier: MIT
//
// A kernel, live or dead, as a debugger's target: tasks are threads, and what they sleep in is
// where they stand.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "inspect/session.h"
#include "inspect/task/task_stack.h"
#include "kcoredump/serve.h"
#include "kcoredump/tasks.h"
#include "serve/debug_target.h"

namespace kcoredump {

/// Idle tasks, whose pid is 0, are threads only where a CPU's registers are theirs: with this and
/// the CPU's number. No pid is that large (kernel: include/linux/threads.h, PID_MAX_LIMIT).
inline constexpr uint32_t kFirstIdleId = 0x40000000;

/// For one thread.
class KernelTarget : public DebugTarget {
 public:
  /// `kernel` must outlive it.
  KernelTarget(Kernel& kernel, MonitorCommand monitor);

  [[nodiscard]] std::vector<DebugThread> ListThreads() override;
  [[nodiscard]] RegisterValues ReadRegisters(uint32_t thread) override;
  [[nodiscard]] Result<size_t> ReadMemory(uint32_t thread, uint64_t address,
                                          std::span<std::byte> out) override;
  [[nodiscard]] std::vector<Range> AddressRanges() override;
  [[nodiscard]] std::optional<uint64_t> TextStart() override;
  void Monitor(std::string_view command, const MonitorOutput& output) const override;

  /// What weakens what debuggers are told; each text once.
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct KnownTask {
    uint64_t address = 0;
    std::optional<uint32_t> cpu;
    bool running = false;
  };
  void FindStacks();
  void AddNote(std::string text);
  void AddIdleThreads(std::vector<DebugThread>& threads) const;
  /// The registers that the dump has of the CPU that runs a task; nothing: none does, or it has
  /// none.
  [[nodiscard]] std::optional<RegisterValues> RegistersOfCpu(uint32_t thread) const;

  Kernel& kernel_;
  Session& session_;
  MonitorCommand monitor_;
  std::unordered_map<uint32_t, KnownTask> tasks_;  ///< by pid, as last listed
  std::unique_ptr<TaskStackReader> stacks_;        ///< nullptr: this kernel does not let us
  std::map<uint32_t, RegisterValues> cpus_;        ///< of a kernel that died, by number
  std::vector<std::string> notes_;
};

}  // namespace kcoredump
