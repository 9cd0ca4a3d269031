// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

#include "source/memory_source.h"

namespace kcoredump {

/// An ELF core of physical memory in a file: /proc/vmcore, makedumpfile -E, QEMU's
/// dump-guest-memory, an unpacked snapshot. Errors name the path.
[[nodiscard]] Result<std::unique_ptr<MemorySource>> OpenElfCore(const std::string& path);

}  // namespace kcoredump
