// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "format/input_file.h"
#include "source/memory_source.h"

namespace kcoredump {

/// Most records accepted. makedumpfile's hold 64 KiB, QEMU's some 16 KiB.
inline constexpr size_t kMaxFlattenedRecords = 1 << 21;

/// A flattened file (makedumpfile -F, QEMU's kdump formats): the kdump or ELF file that its records
/// make up, read where it stands. Errors name the path.
[[nodiscard]] Result<std::unique_ptr<MemorySource>> OpenFlattened(const std::string& path);

/// The file that the records make up. Where two of them lie on each other the later one counts, and
/// what none of them covers is zero, or in a torn file its end. kLimitExceeded: too many records.
[[nodiscard]] Result<InputFile> Rearranged(const InputFile& flattened);

}  // namespace kcoredump
