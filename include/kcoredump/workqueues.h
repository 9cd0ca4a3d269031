// SPDX-License-Identifier: MIT
//
// What the kernel has put off to be done by workers: workqueues, their pools, and the work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kcoredump/actors.h"
#include "kcoredump/kernel.h"

namespace kcoredump {

/// More are not listed, and a note says so.
inline constexpr size_t kMaxWorkqueues = 1 << 16;
inline constexpr size_t kMaxWorks = 1 << 20;

/// A struct workqueue_struct. Strings may hold anything: escape them for a terminal (ToText does).
struct Workqueue {
  std::string name{};
  std::vector<std::string> flags{};  ///< "unbound", "mem_reclaim", …: the kernel's WQ_ without WQ_
  uint64_t active = 0;               ///< works in pools, pending or running
  std::vector<int32_t> pools{};      ///< ids, in the kernel's order; each once
  TaskName rescuer{};                ///< of queues that reclaim memory
  uint64_t address = 0;
};

/// A struct worker of a pool.
struct Worker {
  TaskName task{};         ///< none: work is done in softirqs
  FunctionName running{};  ///< what it does now; none: it is idle
  uint64_t address = 0;
};

/// A struct worker_pool.
struct WorkerPool {
  int32_t id = 0;
  std::optional<uint32_t> cpu{};  ///< nothing: any CPU of the pool's mask
  std::optional<int32_t> nice{};
  std::vector<Worker> workers{};
  uint64_t address = 0;
};

enum class WorkState : uint8_t {
  kRunning,
  kPending,   ///< in a pool, for a worker to come by
  kInactive,  ///< held back: its queue has as many active as it may
  kDelayed,   ///< a timer will queue it
};

/// A struct work_struct that is queued or done right now.
struct Work {
  WorkState state = WorkState::kPending;
  FunctionName function{};
  std::string workqueue{};         ///< empty: not known
  std::optional<int32_t> pool{};   ///< id; nothing: it is in none yet
  TaskName worker{};               ///< that does it
  std::optional<int64_t> in_ns{};  ///< when it is delayed: from now until it is queued
  uint64_t address = 0;
};

struct WorkqueueList {
  std::vector<Workqueue> workqueues{};  ///< by name
  std::vector<WorkerPool> pools{};      ///< by id
  std::vector<Work> works{};            ///< by state
  Findings findings;
};

/// "running", "pending", "inactive", "delayed".
[[nodiscard]] const char* WorkStateName(WorkState state);

/// Without debuginfo. kNotFound: no symbol workqueues, or a member that this kernel lacks.
[[nodiscard]] Result<WorkqueueList> ListWorkqueues(Kernel& kernel);

/// Works, workqueues and pools, a table each.
[[nodiscard]] std::string ToText(const WorkqueueList& list, const TextStyle& style);
[[nodiscard]] std::string ToJson(const WorkqueueList& list);

}  // namespace kcoredump
