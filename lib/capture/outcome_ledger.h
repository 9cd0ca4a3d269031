// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "format/snapshot/format.h"
#include "kcoredump/memory.h"

namespace kcoredump {

/// The account of pages, kept in the order of physical addresses. For one thread.
class OutcomeLedger {
 public:
  explicit OutcomeLedger(uint64_t page_bytes) : page_bytes_(page_bytes) {}

  /// Takes the report of the next batch. False: more runs than a trailer can list.
  [[nodiscard]] bool Add(const ReadReport& report);

  [[nodiscard]] uint64_t hole_pages() const { return hole_pages_; }

  /// Fills in counts and runs for a capture of which only memory below `physical_end` was kept,
  /// `reached_pages` of `total_pages`.
  void Close(uint64_t physical_end, uint64_t reached_pages, uint64_t total_pages,
             Trailer& trailer) const;

 private:
  uint64_t page_bytes_;
  std::vector<PageRun> runs_;
  uint64_t hole_pages_ = 0;
};

}  // namespace kcoredump
