// SPDX-License-Identifier: MIT
//
// The on-disk structures of flattened files (makedumpfile -F); FORMAT.md beside this file specifies
// them. All numbers are big-endian.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kcoredump/result.h"

namespace kcoredump {

inline constexpr char kFlattenedSignature[16] = "makedumpfile";
inline constexpr int64_t kFlattenedType = 1;
inline constexpr int64_t kFlattenedVersion = 1;
/// The header and the zeros after it; where the first record begins.
inline constexpr uint64_t kFlattenedHeaderBytes = 4096;
/// Signature, type and version.
inline constexpr size_t kFlattenedFieldsBytes = 32;
inline constexpr uint64_t kFlattenedRecordBytes = 16;

/// The head of a record; its data follow it.
struct FlattenedRecord {
  int64_t offset = 0;  ///< where the data belong in the file that is meant
  int64_t bytes = 0;   ///< of the data

  /// What stands after the last record.
  [[nodiscard]] bool IsEnd() const { return offset == -1 && bytes == -1; }
};

[[nodiscard]] std::array<std::byte, kFlattenedHeaderBytes> EncodeFlattenedHeader();
/// kUnsupported: not such a file, or of another type or version.
[[nodiscard]] Status CheckFlattenedHeader(std::span<const std::byte, kFlattenedFieldsBytes> fields);

[[nodiscard]] std::array<std::byte, kFlattenedRecordBytes> EncodeFlattenedRecord(
    const FlattenedRecord& record);
[[nodiscard]] FlattenedRecord DecodeFlattenedRecord(
    std::span<const std::byte, kFlattenedRecordBytes> bytes);

}  // namespace kcoredump
