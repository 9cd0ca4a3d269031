// SPDX-License-Identifier: MIT
//
// What time it is in a kernel, by its timekeeper (kernel: kernel/time/timekeeping.c).
#pragma once

#include <cstdint>
#include <optional>

#include "inspect/task/tasks.h"

namespace kcoredump {

/// At the last tick. What is not known is nothing, and a note says why.
struct KernelClock {
  std::optional<int64_t> monotonic_ns;
  std::optional<uint64_t> jiffies;
  std::optional<uint64_t> tick_ns;
};

[[nodiscard]] KernelClock ReadClock(const TaskSources& sources, std::vector<std::string>& notes);

}  // namespace kcoredump
