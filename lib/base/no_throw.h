// SPDX-License-Identifier: MIT
#pragma once

#include <cerrno>
#include <new>

#include "base/error.h"

namespace kcoredump {

/// What `call`, which returns a Result, returns; ENOMEM in std::bad_alloc's place. For threads: one
/// that throws ends the program.
template <typename Call>
[[nodiscard]] auto WithoutThrowing(Call call) -> decltype(call()) {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    return SystemError("memory for a thread", ENOMEM);
  }
}

}  // namespace kcoredump
