// SPDX-License-Identifier: MIT
//
// Makers of Error values.
#pragma once

#include <string>
#include <utility>

#include "kcoredump/result.h"

namespace kcoredump {

[[nodiscard]] Error MakeError(ErrorCode code, std::string message);
[[nodiscard]] inline Error Corrupt(std::string message) {
  return MakeError(ErrorCode::kCorrupt, std::move(message));
}
[[nodiscard]] inline Error InvalidArgument(std::string message) {
  return MakeError(ErrorCode::kInvalidArgument, std::move(message));
}

/// "<what>: <strerror>", kIo with the errno kept (kPermission for EPERM/EACCES, kNotFound for
/// ENOENT).
[[nodiscard]] Error SystemError(const std::string& what, int system_errno);

/// The same, always kIo: whatever is wrong with an output, a refused output is not a refused
/// source.
[[nodiscard]] Error OutputError(const std::string& what, int system_errno);

/// "EIO", "EFAULT", …; "errno 999" for a number without a name.
[[nodiscard]] std::string ErrnoName(int system_errno);

}  // namespace kcoredump
