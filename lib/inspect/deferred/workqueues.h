// SPDX-License-Identifier: MIT
#pragma once

#include "inspect/task/tasks.h"
#include "kcoredump/workqueues.h"

namespace kcoredump {

/// As ListWorkqueues; a test has sources of its own.
[[nodiscard]] Result<WorkqueueList> WalkWorkqueues(const TaskSources& sources);

}  // namespace kcoredump
