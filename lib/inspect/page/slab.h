// SPDX-License-Identifier: MIT
#pragma once

#include "inspect/task/tasks.h"
#include "kcoredump/slab.h"

namespace kcoredump {

/// As ListSlabCaches; a test has sources of its own.
[[nodiscard]] Result<SlabCaches> WalkSlabCaches(const TaskSources& sources);

}  // namespace kcoredump
