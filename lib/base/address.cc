// SPDX-License-Identifier: MIT
#include "kcoredump/address.h"

namespace kcoredump {

std::string_view PageOutcomeName(PageOutcome outcome) {
  switch (outcome) {
    case PageOutcome::kDirect:
      return "direct";
    case PageOutcome::kRetried:
      return "retried";
    case PageOutcome::kBounced:
      return "bounced";
    case PageOutcome::kUnreadable:
      return "unreadable";
    case PageOutcome::kHwPoison:
      return "hwpoison";
    case PageOutcome::kOffline:
      return "offline";
    case PageOutcome::kAbsent:
      return "absent";
    case PageOutcome::kNotReached:
      return "not-reached";
    case PageOutcome::kExcluded:
      return "excluded";
  }
  return "unknown";
}

}  // namespace kcoredump
