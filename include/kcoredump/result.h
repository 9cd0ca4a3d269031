// SPDX-License-Identifier: MIT
//
// Errors are values: every call of the library that can fail returns a Result. No exception leaves
// the library, and it never prints and never exits.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace kcoredump {

enum class ErrorCode : uint8_t {
  kNotFound,         ///< no such file, address or symbol
  kPermission,       ///< refused by the kernel: capability, file mode or lockdown
  kCorrupt,          ///< the input contradicts itself or fails its checksum
  kUnsupported,      ///< well-formed as far as seen, but not a thing this library reads
  kInvalidArgument,  ///< the caller's mistake; `address` holds a bad destination, if that was it
  kIo,               ///< a system call failed; `system_errno` says how
  kUnreadable,       ///< memory at `address` cannot be read; `system_errno` says why, if known
  kLimitExceeded,    ///< a count or size beyond what the library accepts
  kCancelled,        ///< stopped on request
};

/// What went wrong, and the story around it: each layer adds a line of context in front.
struct Error {
  ErrorCode code = ErrorCode::kIo;
  std::string message;   ///< may quote input: escape it before it reaches a terminal
  int system_errno = 0;  ///< 0: none
  uint64_t address = 0;  ///< for kUnreadable and bad destinations

  [[nodiscard]] Error WithContext(const std::string& context) && {
    message = context + ": " + message;
    return std::move(*this);
  }
};

/// A `T` or an `Error`. Not convertible to bool, so that a Result<bool> cannot be misread.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  /// Only when ok().
  [[nodiscard]] T& value() { return std::get<0>(state_); }
  [[nodiscard]] const T& value() const { return std::get<0>(state_); }
  /// Only when not ok().
  [[nodiscard]] Error& error() { return std::get<1>(state_); }
  [[nodiscard]] const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

/// A Result without a value.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : failed_(true), error_(std::move(error)) {}

  [[nodiscard]] bool ok() const { return !failed_; }
  [[nodiscard]] Error& error() { return error_; }
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  bool failed_ = false;
  Error error_;
};

using Status = Result<void>;

}  // namespace kcoredump
