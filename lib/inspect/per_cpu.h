// SPDX-License-Identifier: MIT
//
// Where each CPU has its copy of per-CPU variables.
#pragma once

#include <cstdint>
#include <vector>

#include "inspect/tasks.h"

namespace kcoredump {

/// __per_cpu_offset of each possible CPU, in their order: what is added to a variable's address.
/// Empty: this kernel's cannot be had.
[[nodiscard]] std::vector<uint64_t> PerCpuOffsets(const TaskSources& sources);

}  // namespace kcoredump
