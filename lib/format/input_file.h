// SPDX-License-Identifier: MIT
//
// A file as the readers of formats see it: as it stands on disk, or as it is once the records of a
// flattened one are in their places.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "elf/elf_core.h"
#include "kcoredump/result.h"

namespace kcoredump {

/// Copies share what they read from. Any thread may call read_at.
struct InputFile {
  std::string path;
  uint64_t bytes = 0;       ///< where it ends
  uint64_t disk_bytes = 0;  ///< of the file itself
  ReadAtFunction read_at;   ///< fails with an errno; a bad destination is EFAULT, and no signal
  std::string torn;         ///< why its end is missing; empty: it is whole, as far as it can tell

  /// All of `out`, or kCorrupt: the file ends before.
  [[nodiscard]] Status ReadExactly(uint64_t offset, std::span<std::byte> out) const;
};

/// A regular file or a block device. Errors name the path.
[[nodiscard]] Result<InputFile> OpenInputFile(const std::string& path);

/// What SourceReader::ReadUpTo returns for a read of `file`: bytes, 0 at the end, −errno.
[[nodiscard]] int64_t ReadForSource(const InputFile& file, uint64_t offset,
                                    std::span<std::byte> out);

}  // namespace kcoredump
