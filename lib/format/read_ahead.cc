// SPDX-License-Identifier: MIT
#include "format/read_ahead.h"

#include <algorithm>

namespace kcoredump {

namespace {

/// What is read at once where reads follow each other.
constexpr size_t kReadAheadBytes = 64 << 10;

}  // namespace

std::span<const std::byte> ReadAhead::At(const InputFile& file, uint64_t offset, size_t bytes,
                                         int& failure) {
  failure = 0;
  const uint64_t end = begin_ + bytes_.size();
  const bool near = &file == file_ && offset >= begin_ && offset <= end;
  if (near && bytes <= end - offset) return std::span(bytes_).subspan(offset - begin_, bytes);
  bytes_.resize(near ? std::max(bytes, kReadAheadBytes) : bytes);
  const int64_t count = ReadForSource(file, offset, bytes_);
  file_ = count < 0 ? nullptr : &file;
  begin_ = offset;
  bytes_.resize(count < 0 ? 0 : static_cast<size_t>(count));
  if (count < 0) failure = static_cast<int>(count);
  return std::span(bytes_).first(std::min(bytes, bytes_.size()));
}

}  // namespace kcoredump
