// SPDX-License-Identifier: MIT
#pragma once

#include "inspect/task/tasks.h"
#include "kcoredump/sockets.h"

namespace kcoredump {

/// As ListSockets; a test has sources of its own.
[[nodiscard]] Result<SocketList> WalkSockets(const TaskSources& sources);

}  // namespace kcoredump
