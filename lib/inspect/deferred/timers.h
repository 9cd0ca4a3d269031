// SPDX-License-Identifier: MIT
#pragma once

#include <functional>

#include "inspect/task/tasks.h"
#include "kcoredump/timers.h"

namespace kcoredump {

/// As ListTimers; a test has sources of its own.
[[nodiscard]] Result<TimerList> WalkTimers(const TaskSources& sources);

/// The pending timers of the wheel alone, each with the address of its struct timer_list in
/// Timer::address. Errors as WalkTimers'.
[[nodiscard]] Result<TimerList> WalkWheel(const TaskSources& sources);

}  // namespace kcoredump
