// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

#include "format/input_file.h"
#include "source/memory_source.h"

namespace kcoredump {

/// An ELF core of physical memory in a file: /proc/vmcore, makedumpfile -E, QEMU's
/// dump-guest-memory, an unpacked snapshot. Errors name the path.
[[nodiscard]] Result<std::unique_ptr<MemorySource>> OpenElfCore(const std::string& path);

/// The same in a file that is open already.
[[nodiscard]] Result<std::unique_ptr<MemorySource>> OpenElfCoreIn(const InputFile& file);

}  // namespace kcoredump
