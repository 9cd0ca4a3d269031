// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

#include "source/memory_source.h"

namespace kcoredump {

/// Whether the JSON that says what a raw image holds stands beside `path`.
[[nodiscard]] bool HasRawSidecar(const std::string& path);

/// Bytes of memory without any header, and their ranges from the JSON beside them. Errors name the
/// path.
[[nodiscard]] Result<std::unique_ptr<MemorySource>> OpenRaw(const std::string& path);

}  // namespace kcoredump
