// SPDX-License-Identifier: MIT
//
// The CPUs of a kernel, and where each has its own copy of per-CPU variables.
#pragma once

#include <cstdint>
#include <vector>

#include "inspect/task/tasks.h"

namespace kcoredump {

struct CpuArea {
  uint32_t cpu = 0;
  uint64_t offset = 0;  ///< added to the address of a per-CPU variable (__per_cpu_offset)
};

/// The CPUs of a mask of the kernel's: "__cpu_possible_mask", "__cpu_online_mask". Empty: a symbol
/// is missing, or unreadable.
[[nodiscard]] std::vector<CpuArea> CpusOf(const TaskSources& sources, const char* mask);

}  // namespace kcoredump
