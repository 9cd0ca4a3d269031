// SPDX-License-Identifier: MIT
#include "format/flattened/format.h"

#include <bit>
#include <cstring>
#include <string>

#include "base/error.h"

namespace kcoredump {

namespace {

void PutBigEndian(int64_t value, std::byte* out) {
  const uint64_t swapped = __builtin_bswap64(static_cast<uint64_t>(value));
  std::memcpy(out, &swapped, sizeof(swapped));
}

int64_t GetBigEndian(const std::byte* in) {
  uint64_t swapped = 0;
  std::memcpy(&swapped, in, sizeof(swapped));
  return static_cast<int64_t>(__builtin_bswap64(swapped));
}

}  // namespace

std::array<std::byte, kFlattenedHeaderBytes> EncodeFlattenedHeader() {
  std::array<std::byte, kFlattenedHeaderBytes> header{};
  std::memcpy(header.data(), kFlattenedSignature, sizeof(kFlattenedSignature));
  PutBigEndian(kFlattenedType, header.data() + 16);
  PutBigEndian(kFlattenedVersion, header.data() + 24);
  return header;
}

Status CheckFlattenedHeader(std::span<const std::byte, kFlattenedFieldsBytes> fields) {
  if (std::memcmp(fields.data(), kFlattenedSignature, sizeof(kFlattenedSignature)) != 0) {
    return MakeError(ErrorCode::kUnsupported, "not a flattened file");
  }
  const int64_t type = GetBigEndian(fields.data() + 16);
  const int64_t version = GetBigEndian(fields.data() + 24);
  if (type == kFlattenedType && version == kFlattenedVersion) return {};
  return MakeError(ErrorCode::kUnsupported, "a flattened file of type " + std::to_string(type) +
                                                " and version " + std::to_string(version) +
                                                "; this program knows type 1, version 1");
}

std::array<std::byte, kFlattenedRecordBytes> EncodeFlattenedRecord(const FlattenedRecord& record) {
  std::array<std::byte, kFlattenedRecordBytes> bytes{};
  PutBigEndian(record.offset, bytes.data());
  PutBigEndian(record.bytes, bytes.data() + 8);
  return bytes;
}

FlattenedRecord DecodeFlattenedRecord(std::span<const std::byte, kFlattenedRecordBytes> bytes) {
  return {.offset = GetBigEndian(bytes.data()), .bytes = GetBigEndian(bytes.data() + 8)};
}

}  // namespace kcoredump
