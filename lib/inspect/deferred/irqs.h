// SPDX-License-Identifier: MIT
#pragma once

#include "inspect/task/tasks.h"
#include "kcoredump/irqs.h"

namespace kcoredump {

/// As ListIrqs; a test has sources of its own.
[[nodiscard]] Result<IrqList> WalkIrqs(const TaskSources& sources);

}  // namespace kcoredump
