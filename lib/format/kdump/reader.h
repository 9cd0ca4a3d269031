// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

#include "format/input_file.h"
#include "source/memory_source.h"

namespace kcoredump {

/// A kdump-compressed file (diskdump, versions 1 to 6), or the split set that it is a part of:
/// makedumpfile's, or QEMU's kdump-zlib and its kin. Errors name the path.
[[nodiscard]] Result<std::unique_ptr<MemorySource>> OpenKdump(const std::string& path);

/// The same in a file that is open already.
[[nodiscard]] Result<std::unique_ptr<MemorySource>> OpenKdumpIn(const InputFile& file);

}  // namespace kcoredump
