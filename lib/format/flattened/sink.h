// SPDX-License-Identifier: MIT
#pragma once

#include "base/output_file.h"

namespace kcoredump {

/// Turns writes in any order into the records of a flattened file (FORMAT.md), which go to another
/// sink in the order they are made. For one thread.
class FlattenedSink : public ByteSink {
 public:
  /// `out` must outlive it.
  explicit FlattenedSink(ByteSink* out) : out_(out) {}

  Status Write(std::span<const std::byte> bytes) override;
  /// A hole is in no record.
  Status Skip(uint64_t bytes) override;
  Status Patch(uint64_t offset, std::span<const std::byte> bytes) override;
  bool can_patch() const override { return true; }
  Status Flush() override { return out_->Flush(); }
  uint64_t taken_bytes() const override { return position_; }
  Status Rewind(uint64_t offset) override;
  /// The mark after the last record.
  [[nodiscard]] Status End();
  Result<std::string> Publish(bool complete) override { return out_->Publish(complete); }
  bool around_page_cache() const override { return out_->around_page_cache(); }

 private:
  [[nodiscard]] Status Record(uint64_t offset, std::span<const std::byte> bytes);

  ByteSink* out_;
  bool begun_ = false;
  uint64_t position_ = 0;  ///< in the file that the records make
};

}  // namespace kcoredump
