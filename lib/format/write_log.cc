// SPDX-License-Identifier: MIT
#include "format/write_log.h"

#include <utility>

#include "base/error.h"

namespace kcoredump {

Status WriteLog::GoBack(ByteSink& sink) {
  while (marks_.size() > 1 && marks_.back().file_bytes > sink.taken_bytes()) marks_.pop_back();
  const bool again = std::exchange(went_back_, true);
  if (again || now().plain_bytes == 0 || now().file_bytes > sink.taken_bytes()) {
    return MakeError(ErrorCode::kLimitExceeded, "there is no room on the disk");
  }
  marks_.erase(marks_.begin(), std::prev(marks_.end()));
  return sink.Rewind(now().file_bytes);
}

}  // namespace kcoredump
