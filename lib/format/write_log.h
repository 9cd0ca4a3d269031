// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <deque>

#include "base/output_file.h"

namespace kcoredump {

/// How far a writer is after a batch.
struct WriteMark {
  uint64_t file_bytes = 0;   ///< written to the sink
  uint64_t plain_bytes = 0;  ///< of the image
  uint64_t zero_pages = 0;
};

/// Where writers of formats without frames of their own go back to when a disk is full: the ends of
/// the batches that the kernel may not have taken yet. For one thread.
class WriteLog {
 public:
  [[nodiscard]] const WriteMark& now() const { return marks_.back(); }

  /// The image begins here, after the format's own head.
  void Begin(uint64_t file_bytes) { marks_ = {WriteMark{.file_bytes = file_bytes}}; }

  /// The next batch ends here; everything up to `taken_bytes` is with the kernel.
  void Add(const WriteMark& mark, uint64_t taken_bytes) {
    marks_.push_back(mark);
    while (marks_.size() > 1 && marks_[1].file_bytes <= taken_bytes) marks_.pop_front();
  }

  /// Rewinds to the newest batch that the kernel took whole, once. kLimitExceeded: not even one, or
  /// again.
  [[nodiscard]] Status GoBack(ByteSink& sink);

 private:
  std::deque<WriteMark> marks_{WriteMark{}};
  bool went_back_ = false;  ///< a second time there is nothing left to give
};

}  // namespace kcoredump
