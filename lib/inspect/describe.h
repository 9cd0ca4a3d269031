// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "format/registry.h"
#include "kcoredump/inspect.h"
#include "source/memory_source.h"

namespace kcoredump {

/// As Describe, of a source that is open already; `path` leads to it.
[[nodiscard]] Result<ImageInfo> DescribeSource(const MemorySource& source, const Format& format,
                                               const std::string& path);

}  // namespace kcoredump
