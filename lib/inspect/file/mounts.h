// SPDX-License-Identifier: MIT
#pragma once

#include "inspect/task/tasks.h"
#include "kcoredump/mounts.h"

namespace kcoredump {

/// As ListMounts; a test has sources of its own.
[[nodiscard]] Result<MountList> WalkMounts(const TaskSources& sources, uint32_t pid);

}  // namespace kcoredump
