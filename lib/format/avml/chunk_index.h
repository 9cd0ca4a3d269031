// SPDX-License-Identifier: MIT
//
// Where the chunks of an AVML file are: its streams cannot be sought in, so their headers are
// walked once.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/range.h"
#include "format/input_file.h"
#include "format/read_ahead.h"
#include "kcoredump/result.h"

namespace kcoredump {

/// Chunks from one mark to the next at most: what is walked again for a random read.
inline constexpr unsigned kChunksAMark = 16;
/// Four terabytes in chunks of 64 KiB.
inline constexpr size_t kMaxChunkMarks = 1 << 22;

/// One chunk with content.
struct AvmlChunk {
  uint64_t position = 0;  ///< of its header
  uint8_t type = 0;
  uint32_t body_bytes = 0;     ///< checksum and data
  uint32_t content_bytes = 0;  ///< what it unpacks to

  [[nodiscard]] uint64_t end() const;
};

/// The next chunk with content at or after `position`. kCorrupt: no chunk, or one that cannot be;
/// the message of a file that ends there says so.
[[nodiscard]] Result<AvmlChunk> NextChunk(const InputFile& file, ReadAhead& ahead,
                                          uint64_t position);

/// Where a chunk begins, in the file and in memory.
struct ChunkMark {
  uint64_t phys = 0;
  uint64_t position = 0;
};

struct ChunkIndex {
  std::vector<ChunkMark> marks;  ///< by physical address
  std::vector<Range> memory;     ///< by the range headers; ascending, those that touch joined
  Range missing;                 ///< physical: what the last range should have had
  std::string incomplete_reason;
};

/// kUnsupported: not such a file; kCorrupt: ranges that overlap; kLimitExceeded: more chunks than
/// kMaxChunkMarks.
[[nodiscard]] Result<ChunkIndex> IndexChunks(const InputFile& file);

}  // namespace kcoredump
