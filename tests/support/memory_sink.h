// SPDX-License-Identifier: MIT
#pragma once

#include <cerrno>
#include <limits>

#include "base/error.h"
#include "base/output_file.h"
#include "support/test_bytes.h"

namespace kcoredump::test {

/// A disk in memory, full at `limit` bytes.
class MemorySink : public ByteSink {
 public:
  explicit MemorySink(uint64_t limit = std::numeric_limits<uint64_t>::max()) : limit_(limit) {}

  Status Write(std::span<const std::byte> bytes) override {
    if (bytes.size() > limit_ - content_.size()) return SystemError("sink", ENOSPC);
    content_.insert(content_.end(), bytes.begin(), bytes.end());
    return {};
  }
  Status Flush() override { return {}; }
  uint64_t taken_bytes() const override { return content_.size(); }
  Status Rewind(uint64_t offset) override {
    if (offset > content_.size()) return MakeError(ErrorCode::kInvalidArgument, "sink");
    content_.resize(offset);
    ++rewinds_;
    return {};
  }
  Result<std::string> Publish(bool complete) override {
    return std::string(complete ? "memory" : "memory.partial");
  }
  bool around_page_cache() const override { return false; }

  [[nodiscard]] const Bytes& content() const { return content_; }
  [[nodiscard]] unsigned rewinds() const { return rewinds_; }

 private:
  uint64_t limit_;
  Bytes content_;
  unsigned rewinds_ = 0;
};

}  // namespace kcoredump::test
