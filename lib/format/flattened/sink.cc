// SPDX-License-Identifier: MIT
#include "format/flattened/sink.h"

#include "base/error.h"
#include "base/try.h"
#include "format/flattened/format.h"

namespace kcoredump {

Status FlattenedSink::Record(uint64_t offset, std::span<const std::byte> bytes) {
  if (!begun_) KCD_TRY(out_->Write(EncodeFlattenedHeader()));
  begun_ = true;
  if (bytes.empty()) return {};
  KCD_TRY(out_->Write(EncodeFlattenedRecord(
      {.offset = static_cast<int64_t>(offset), .bytes = static_cast<int64_t>(bytes.size())})));
  return out_->Write(bytes);
}

Status FlattenedSink::Write(std::span<const std::byte> bytes) {
  KCD_TRY(Record(position_, bytes));
  position_ += bytes.size();
  return {};
}

Status FlattenedSink::Skip(uint64_t bytes) {
  position_ += bytes;
  return {};
}

Status FlattenedSink::Patch(uint64_t offset, std::span<const std::byte> bytes) {
  return Record(offset, bytes);
}

Status FlattenedSink::Rewind(uint64_t /*offset*/) {
  return MakeError(ErrorCode::kUnsupported, "the records of a flattened file cannot be taken back");
}

Status FlattenedSink::End() {
  KCD_TRY(out_->Write(EncodeFlattenedRecord({.offset = -1, .bytes = -1})));
  return out_->Flush();
}

}  // namespace kcoredump
