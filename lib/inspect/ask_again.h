// SPDX-License-Identifier: MIT
#pragma once

#include "inspect/session.h"

namespace kcoredump {

/// What `ask` answers, a Result of something with findings. The lists of a live kernel may change
/// under a walk: an incomplete answer is asked for again, a few times.
template <typename Ask>
auto AskAgainWhileLive(const Session& session, const Ask& ask) -> decltype(ask()) {
  constexpr int kAttempts = 4;
  auto answer = ask();
  for (int i = 1; i < kAttempts && session.live(); ++i) {
    if (!answer.ok() || !answer.value().findings.incomplete) break;
    answer = ask();
  }
  return answer;
}

}  // namespace kcoredump
