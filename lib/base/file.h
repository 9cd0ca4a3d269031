// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "kcoredump/result.h"

namespace kcoredump {

/// Read-only, close-on-exec. The error names the path.
[[nodiscard]] Result<UniqueFd> OpenForReading(const std::string& path);

/// With the slash at its end; empty: `path` is a name alone.
[[nodiscard]] std::string FolderOf(const std::string& path);

/// Where the open file has a name now; empty: nowhere.
[[nodiscard]] std::string PathOfDescriptor(int fd);

/// A whole file of /proc or /sys, whose st_size tells nothing, appended to `out`. LimitExceeded
/// when it is longer than `max_bytes`; `out` is then as it was.
[[nodiscard]] Status AppendFile(const std::string& path, size_t max_bytes,
                                std::vector<std::byte>& out);

/// The same as text.
[[nodiscard]] Result<std::string> ReadTextFile(const std::string& path, size_t max_bytes);

/// Fills as much of `out` as the file has from `offset` on; goes on after EINTR and short reads.
/// Returns the bytes read, fewer than asked only at the end of the file.
[[nodiscard]] Result<size_t> PreadUpTo(int fd, std::span<std::byte> out, uint64_t offset);

/// As PreadUpTo, but a file that ends too early is an error (kCorrupt).
[[nodiscard]] Status PreadExactly(int fd, std::span<std::byte> out, uint64_t offset);

}  // namespace kcoredump
