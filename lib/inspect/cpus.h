// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "kcoredump/inspect.h"
#include "source/memory_source.h"

namespace kcoredump {

/// What the CPUs were doing when the kernel died, by the dump's NT_PRSTATUS notes. A live kernel's
/// note is of zeros: its CPUs are not listed. Loads the symbols of `path` when there are any.
[[nodiscard]] std::vector<CpuInfo> DescribeCpus(const MemorySource& source,
                                                const std::string& path);

}  // namespace kcoredump
