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
};

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
