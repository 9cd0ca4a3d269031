// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

#include "source/memory_source.h"

namespace kcoredump {

/// An AVML file of version 2, the compressed form. Errors name the path.
[[nodiscard]] Result<std::unique_ptr<MemorySource>> OpenAvml(const std::string& path);

}  // namespace kcoredump
