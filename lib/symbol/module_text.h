// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "symbol/modules.h"

namespace kcoredump {

/// Of a module's memory, its code, init code too; by address. kNotFound names what this kernel
/// lacks.
[[nodiscard]] Result<std::vector<Range>> ModuleText(MemoryView& kernel, const TypeCatalog& types,
                                                    const LoadedModule& module);

}  // namespace kcoredump
