// SPDX-License-Identifier: MIT
//
// Processes and threads, from the kernel's own lists of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"

namespace kcoredump {

/// More are not listed, and a note says so.
inline constexpr size_t kMaxTasks = 4 << 20;
/// Arguments are read up to that many bytes.
inline constexpr size_t kMaxArgumentBytes = 4096;

/// A process, or a thread of one (kernel: include/linux/sched.h, struct task_struct). Ids are those
/// of the first pid namespace. Strings may hold anything: escape them for a terminal (ToText does).
struct Task {
  uint32_t pid = 0;             ///< task_struct.pid: of the thread
  uint32_t tgid = 0;            ///< of the process: the pid of its first thread
  uint32_t ppid = 0;            ///< the process that real_parent belongs to; 0: none
  std::optional<uint32_t> uid;  ///< real_cred->uid, the first of Uid: in /proc/PID/status
  /// As /proc/PID/stat: R, S, D, T, t, X, Z, P or I (kernel: fs/proc/array.c); '?': not known.
  char state = '?';
  std::optional<uint32_t> cpu;       ///< where it runs, or ran last
  std::optional<uint64_t> start_ns;  ///< since boot, suspended time included (start_boottime)
  /// File, anonymous and shared pages; nothing for a kernel thread or a zombie. Exact where
  /// /proc/PID/status of 6.2 to 6.16 is off by what each CPU keeps to itself.
  std::optional<uint64_t> rss_bytes;
  std::string comm;
  /// From the process's own memory, as /proc/PID/cmdline: nothing when it has none, or where the
  /// pages that hold them are not in memory.
  std::optional<std::vector<std::string>> arguments;
  bool arguments_cut = false;  ///< there were more than kMaxArgumentBytes
  bool kernel_thread = false;
  uint32_t threads = 0;  ///< of its process; 0: not known
  uint64_t address = 0;  ///< of its task_struct
};

struct TaskOptions {
  bool threads = false;  ///< a Task for each thread; otherwise one for each process
  /// Pids, names and shell globs of names: what to list. Empty: everything.
  std::vector<std::string> only;
  bool descendants = false;  ///< with `only`: their children, and theirs, too
};

struct TaskList {
  std::vector<Task> tasks;  ///< by tgid, then pid; without the idle tasks of pid 0
  Findings findings;
};

/// Walks the list of processes from init_task. Damage costs what lies behind it from both ends.
/// kNotFound: no symbol init_task, no type or member of task_struct that the list hangs on, or
/// nothing matches one of `only`.
[[nodiscard]] Result<TaskList> ListTasks(Kernel& kernel, const TaskOptions& options);

/// What a list of processes hangs on, sorted: the kernel image from its data on (_sdata to _end,
/// with init_task, page tables and the log), and the task_structs of all threads. Pages that cannot
/// be translated are missing. Errors: as ListTasks.
[[nodiscard]] Result<std::vector<PhysRange>> TaskMemory(Kernel& kernel);

struct TaskTable {
  bool tree = false;     ///< children below their parents
  bool threads = false;  ///< with a column for the thread's id
};

/// PID, PPID, UID, S (state), CPU, START (since boot), RSS, COMMAND.
[[nodiscard]] std::string ToText(const TaskList& list, const TaskTable& table,
                                 const TextStyle& style);
[[nodiscard]] std::string ToJson(const TaskList& list);

}  // namespace kcoredump
