// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "base/unique_fd.h"
#include "kcoredump/result.h"

namespace kcoredump {

/// A socket that debuggers connect to. Its file, if it has one, goes with it.
class Listener {
 public:
  /// HOST:PORT or [HOST]:PORT, numbers or localhost. kInvalidArgument: no such address, or one
  /// that other machines reach and `allow_remote` is not set.
  [[nodiscard]] static Result<Listener> Tcp(const std::string& where, bool allow_remote);
  /// A socket in the file system that its owner alone may connect to. kIo: something is there; a
  /// socket that nobody listens at is replaced.
  [[nodiscard]] static Result<Listener> Unix(const std::string& path);

  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&&) = delete;
  ~Listener();

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// As GDB's `target remote` takes it.
  [[nodiscard]] const std::string& address() const { return address_; }
  /// The next who waits, and in `name` who it is; not valid: nobody, or it was gone already.
  [[nodiscard]] UniqueFd Accept(std::string& name) const;

 private:
  Listener(UniqueFd fd, std::string address, std::string path)
      : fd_(std::move(fd)), address_(std::move(address)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::string address_;
  std::string path_;  ///< of its file; empty: none
};

}  // namespace kcoredump
