// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
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
  Status Patch(uint64_t offset, std::span<const std::byte> bytes) override {
    if (offset > content_.size() || bytes.size() > content_.size() - offset) {
      return MakeError(ErrorCode::kInvalidArgument, "sink");
    }
    std::copy(bytes.begin(), bytes.end(), content_.begin() + static_cast<ptrdiff_t>(offset));
    ++patches_;
    return {};
  }
  bool can_patch() const override { return true; }
  Status Flush() override {
    waiting_ = 0;
    return {};
  }
  uint64_t taken_bytes() const override { return content_.size() - waiting_; }
  /// The last `bytes` are not with the kernel yet.
  void SetWaiting(uint64_t bytes) { waiting_ = bytes; }
  Status Rewind(uint64_t offset) override {
    if (offset > content_.size()) return MakeError(ErrorCode::kInvalidArgument, "sink");
    content_.resize(offset);
    waiting_ = 0;
    ++rewinds_;
    return {};
  }
  Result<std::string> Publish(bool complete) override {
    return std::string(complete ? "memory" : "memory.partial");
  }
  bool around_page_cache() const override { return false; }

  [[nodiscard]] const Bytes& content() const { return content_; }
  [[nodiscard]] unsigned patches() const { return patches_; }
  [[nodiscard]] unsigned rewinds() const { return rewinds_; }

 private:
  uint64_t limit_;
  Bytes content_;
  uint64_t waiting_ = 0;
  unsigned patches_ = 0;
  unsigned rewinds_ = 0;
};

}  // namespace kcoredump::test
