// SPDX-License-Identifier: MIT
#include "base/error.h"

#include <cerrno>
#include <cstring>

namespace kcoredump {

Error MakeError(ErrorCode code, std::string message) {
  return Error{.code = code, .message = std::move(message)};
}

Error SystemError(const std::string& what, int system_errno) {
  ErrorCode code = ErrorCode::kIo;
  if (system_errno == EPERM || system_errno == EACCES) code = ErrorCode::kPermission;
  if (system_errno == ENOENT) code = ErrorCode::kNotFound;
  const char* description = strerrordesc_np(system_errno);
  return Error{.code = code,
               .message = what + ": " + (description != nullptr ? description : "unknown error"),
               .system_errno = system_errno};
}

Error OutputError(const std::string& what, int system_errno) {
  Error error = SystemError(what, system_errno);
  error.code = ErrorCode::kIo;
  return error;
}

std::string ErrnoName(int system_errno) {
  const char* name = strerrorname_np(system_errno);
  return name != nullptr ? name : "errno " + std::to_string(system_errno);
}

}  // namespace kcoredump
