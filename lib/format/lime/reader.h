// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

#include "source/memory_source.h"

namespace kcoredump {

/// A LiME file, format "lime" version 1; AVML's uncompressed files are the same. Errors name the
/// path.
[[nodiscard]] Result<std::unique_ptr<MemorySource>> OpenLime(const std::string& path);

}  // namespace kcoredump
