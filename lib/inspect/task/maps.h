// SPDX-License-Identifier: MIT
#pragma once

#include "inspect/task/tasks.h"
#include "kcoredump/maps.h"

namespace kcoredump {

/// As ListMappings; a test has sources of its own.
[[nodiscard]] Result<MappingList> WalkMappings(const TaskSources& sources, uint32_t pid);

}  // namespace kcoredump
