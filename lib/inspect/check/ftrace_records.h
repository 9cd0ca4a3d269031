// SPDX-License-Identifier: MIT
//
// Every place where ftrace may put a call (kernel: kernel/trace/ftrace.c, struct dyn_ftrace).
#pragma once

#include <cstdint>
#include <functional>

#include "inspect/task/tasks.h"

namespace kcoredump {

/// Most records read: Debian's kernels have 60,000.
inline constexpr uint64_t kMaxFtraceRecords = 4 << 20;

/// Each record's address of code and its flags, until `visit` returns false. kCorrupt: pages of
/// records that do not end; kNotFound names what this kernel lacks.
[[nodiscard]] Status VisitFtraceRecords(
    const TaskSources& sources, const std::function<bool(uint64_t site, uint64_t flags)>& visit);

}  // namespace kcoredump
