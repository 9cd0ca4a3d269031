// SPDX-License-Identifier: MIT
//
// What stands behind the C ABI's handles, and what keeps C++ on this side of it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <new>
#include <string>
#include <type_traits>

#include "base/error.h"
#include "base/unique_fd.h"
#include "kcoredump/kcoredump.h"
#include "kcoredump/kernel.h"
#include "kcoredump/result.h"

/// The lock is for all that goes through `kernel`, its const source excepted. It stands here and
/// not with each caller, for a debugger's threads share one image.
struct kcd_image {
  kcd_image(kcoredump::Kernel opened, std::string name, kcoredump::UniqueFd descriptor)
      : kernel(std::move(opened)), path(std::move(name)), fd(std::move(descriptor)) {}

  kcoredump::Kernel kernel;
  const std::string path;
  const kcoredump::UniqueFd fd;  ///< of kcd_open_fd: `path` names it
  std::mutex lock;
};

namespace kcoredump::abi {

[[nodiscard]] int StatusOf(ErrorCode code);
/// Fills `out`, which may be NULL, and returns the kcd_status.
int Report(const Error& error, kcd_error* out);
int ReportNoMemory(kcd_error* out);

[[nodiscard]] inline Error NullArgument(const char* name) {
  return MakeError(ErrorCode::kInvalidArgument, std::string(name) + " is NULL");
}

/// Runs `body`, which returns a Status, and lets nothing be thrown across the ABI.
template <typename Body>
int Guarded(kcd_error* error, Body body) {
  try {
    const Status status = body();
    return status.ok() ? KCD_OK : Report(status.error(), error);
  } catch (...) {  // the library throws nothing, but memory may run out
    return ReportNoMemory(error);
  }
}

/// Fills a size-first struct of the caller's, as much as it has room for.
template <typename T>
[[nodiscard]] Status FillStruct(T* out, T filled, const char* name) {
  static_assert(std::is_trivially_copyable_v<T> && offsetof(T, size) == 0);
  if (out == nullptr) return NullArgument(name);
  const size_t room = out->size;
  if (room < sizeof(T)) {
    return MakeError(ErrorCode::kInvalidArgument, std::string(name) + "'s size is " +
                                                      std::to_string(room) +
                                                      "; set it to sizeof before the call");
  }
  filled.size = room;
  std::memcpy(out, &filled, sizeof(T));
  return {};
}

/// A copy that C frees with kcd_string_free.
[[nodiscard]] char* CopyText(const std::string& text);

}  // namespace kcoredump::abi
