// SPDX-License-Identifier: MIT
//
// What stands behind the C ABI's handles, and what keeps C++ on this side of it.
#pragma once

#include <pthread.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <new>
#include <string>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "kcoredump/kcoredump.h"
#include "kcoredump/kernel.h"
#include "kcoredump/result.h"

namespace kcoredump {
struct Format;
}

/// The lock is for all that goes through `kernel`, its const source excepted. It stands here and
/// not with each caller, for a debugger's threads share one image.
struct kcd_image {
  kcd_image(kcoredump::Kernel opened, const kcoredump::Format* kind, std::string name,
            kcoredump::UniqueFd descriptor)
      : kernel(std::move(opened)), format(kind), path(std::move(name)), fd(std::move(descriptor)) {}

  kcoredump::Kernel kernel;
  const kcoredump::Format* const format;
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

/// What the first version of each struct that begins with its size had: a caller with that much is
/// served for ever, whatever is appended.
template <typename T>
inline constexpr size_t kFirstBytes = 0;
template <>
inline constexpr size_t kFirstBytes<kcd_error> = 512;
template <>
inline constexpr size_t kFirstBytes<kcd_segment> = 40;
template <>
inline constexpr size_t kFirstBytes<kcd_read> = 80;
template <>
inline constexpr size_t kFirstBytes<kcd_symbol> = 56;
template <>
inline constexpr size_t kFirstBytes<kcd_member> = 32;
template <>
inline constexpr size_t kFirstBytes<kcd_task> = 80;
template <>
inline constexpr size_t kFirstBytes<kcd_level> = 64;
template <>
inline constexpr size_t kFirstBytes<kcd_capture_options> = 112;

/// A thread that is cancelled (pthread_cancel) must not unwind through here.
class CancelHeldBack {
 public:
  CancelHeldBack() { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~CancelHeldBack() { pthread_setcancelstate(before_, nullptr); }
  CancelHeldBack(const CancelHeldBack&) = delete;
  CancelHeldBack& operator=(const CancelHeldBack&) = delete;

 private:
  int before_ = 0;
};

/// Runs `body`, which returns a Status, and lets nothing be thrown across the ABI.
template <typename Body>
int Guarded(kcd_error* error, Body body) {
  const CancelHeldBack held;
  try {
    const Status status = body();
    return status.ok() ? KCD_OK : Report(status.error(), error);
  } catch (const std::bad_alloc&) {  // the library throws nothing, but memory may run out
    return ReportNoMemory(error);
  } catch (...) {
    return Report(MakeError(ErrorCode::kIo, "unexpected failure"), error);
  }
}

/// Fills a size-first struct of the caller's, as much as it has room for; its size then says how
/// much that was.
template <typename T>
[[nodiscard]] Status FillStruct(T* out, T filled, const char* name) {
  static_assert(std::is_trivially_copyable_v<T> && offsetof(T, size) == 0);
  if (out == nullptr) return NullArgument(name);
  static_assert(kFirstBytes<T> != 0 && kFirstBytes<T> <= sizeof(T));
  const size_t room = std::min(out->size, sizeof(T));
  if (room < kFirstBytes<T>) {
    return MakeError(ErrorCode::kInvalidArgument, std::string(name) + "'s size is " +
                                                      std::to_string(out->size) +
                                                      "; set it to sizeof before the call");
  }
  filled.size = room;
  std::memcpy(out, &filled, room);
  return {};
}

/// A line each.
[[nodiscard]] std::string Lines(const std::vector<std::string>& texts);

/// A copy that C frees with kcd_string_free.
[[nodiscard]] char* CopyText(const std::string& text);

}  // namespace kcoredump::abi
