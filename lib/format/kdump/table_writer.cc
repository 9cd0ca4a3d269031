// SPDX-License-Identifier: MIT
#include "format/kdump/table_writer.h"

#include <algorithm>

#include "base/try.h"

namespace kcoredump {

Status BitmapWriter::Set(uint64_t bit) {
  const uint64_t byte = bit / 8;
  if (byte >= window_start_ + kWindowBytes) {
    KCD_TRY(Finish());
    window_start_ = byte;
  }
  window_.resize(std::max<size_t>(window_.size(), byte - window_start_ + 1));
  window_[byte - window_start_] |= std::byte{1} << (bit % 8);
  return {};
}

Status BitmapWriter::Finish() {
  if (window_.empty()) return {};
  KCD_TRY(sink_->Patch(offset_ + window_start_, window_));
  window_start_ += window_.size();
  window_.clear();
  return {};
}

Status DescriptorWriter::Add(const PageDescriptor& descriptor) {
  held_.push_back(descriptor);
  return held_.size() < kMostHeld ? Status() : Finish();
}

Status DescriptorWriter::Finish() {
  if (held_.empty()) return {};
  const auto bytes = std::as_bytes(std::span<const PageDescriptor>(held_));
  KCD_TRY(sink_->Patch(offset_, bytes));
  offset_ += bytes.size();
  held_.clear();
  return {};
}

}  // namespace kcoredump
