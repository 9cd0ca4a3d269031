// SPDX-License-Identifier: MIT
//
// The kernel's lists of processes and threads, and a process's address space by its pid.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "inspect/session.h"
#include "kcoredump/tasks.h"
#include "space/memory_view.h"
#include "symbol/type_catalog.h"
#include "symbol/vmalloc_areas.h"

namespace kcoredump {

/// What the lists are read from; a Session has all of it, a test makes its own.
struct TaskSources {
  MemoryView& kernel;
  const TypeCatalog& types;
  SymbolLookup symbol;
  /// By the virtual address of its root table (mm_struct.pgd).
  std::function<Result<std::unique_ptr<MemoryView>>(uint64_t pgd)> process_space;
  uint64_t page_bytes = 4096;
  /// "name+0x1c [module]"; empty: none.
  std::function<std::string(uint64_t address)> symbolize{};
};

/// What other questions begin with: where a task's own structures are. 0: it has none, or this
/// kernel has no such member.
struct TaskHead {
  uint64_t address = 0;  ///< of its task_struct
  uint32_t pid = 0;
  uint32_t tgid = 0;
  std::string comm;
  bool kernel_thread = false;
  bool exited = false;   ///< a zombie, or dead
  uint64_t mm = 0;       ///< struct mm_struct
  uint64_t files = 0;    ///< struct files_struct
  uint64_t fs = 0;       ///< struct fs_struct
  uint64_t nsproxy = 0;  ///< struct nsproxy
};

/// The sources hold references into the session. kUnsupported: its types cannot be had.
[[nodiscard]] Result<TaskSources> TaskSourcesOf(Session& session);

/// Every process, and with `threads` every thread, in the kernel's order, until `visit` returns
/// false. What damage cost is added to `findings`. Errors as ListTasks'.
[[nodiscard]] Status VisitTasks(const TaskSources& sources, bool threads, Findings& findings,
                                const std::function<bool(const TaskHead&)>& visit);

/// kNotFound: no such pid (of a process or a thread), or no list of them.
[[nodiscard]] Result<TaskHead> FindTask(const TaskSources& sources, uint32_t pid);

/// kInvalidArgument: a kernel thread or a zombie, which have no memory of their own.
[[nodiscard]] Status HasMemory(const TaskHead& task);

/// As ListTasks, all of them.
[[nodiscard]] Result<TaskList> WalkTasks(const TaskSources& sources, bool threads);

/// The arguments, or the name in brackets as ps has it.
[[nodiscard]] std::string CommandOf(const Task& task, bool as_thread);

/// mm_struct.pgd, a virtual address. kNotFound: no such pid (of a process or a thread);
/// kInvalidArgument: a kernel thread or a zombie, which have no memory of their own.
[[nodiscard]] Result<uint64_t> FindProcessRoot(const TaskSources& sources, uint32_t pid);

[[nodiscard]] Result<uint64_t> ProcessRoot(Session& session, uint32_t pid);
/// The address space of the process that `pid` belongs to; errors as FindProcessRoot's.
[[nodiscard]] Result<std::unique_ptr<MemoryView>> OpenProcess(Session& session, uint32_t pid);

}  // namespace kcoredump
