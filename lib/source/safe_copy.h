// SPDX-License-Identifier: MIT
//
// Writing to memory that may be bad. The kernel does the copying, so that an unmapped, protected,
// truncated or poisoned destination is an errno and not a signal. Safe for any number of threads.
#pragma once

#include <cstddef>
#include <span>

namespace kcoredump {

struct SafeCopyResult {
  int system_errno = 0;  ///< 0: all of it was written
  size_t bytes = 0;      ///< written before the error
};

[[nodiscard]] SafeCopyResult SafeCopy(std::span<const std::byte> from, std::byte* to);

/// Makes the pages of `destination` present and writable: MADV_POPULATE_WRITE (Linux 5.14), before
/// that by writing to each. Its contents are lost. 0 or an errno.
[[nodiscard]] int FaultIn(std::span<std::byte> destination);

}  // namespace kcoredump
