// SPDX-License-Identifier: MIT
//
// How a format is written, in two halves: workers encode batches, each on its own and at the same
// time; one thread puts them into the file, in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/output_file.h"
#include "format/codec_page.h"
#include "format/snapshot/format.h"
#include "source/memory_source.h"

namespace kcoredump {

/// What a page of a batch is to a writer.
enum class PageContent : uint8_t {
  kData,
  kZero,  ///< read, and all zero
  kHole,  ///< not read: its bytes are zero and mean nothing
};

/// A batch as its reader left it.
struct PlainBatch {
  bool is_memory = false;  ///< false: a part of the image's head
  PhysAddr phys;           ///< of memory
  std::span<const std::byte> bytes;
  std::span<const PageContent> pages;  ///< one each; empty where it is no memory
};

/// What a worker made of some bytes of a batch.
struct EncodedPiece {
  uint32_t encoded_bytes = 0;
  uint32_t content_bytes = 0;  ///< of the batch; the pieces stand for all of it, in order
  uint32_t zero_pages = 0;     ///< read, and all zero
  uint32_t flags = 0;          ///< the format's own
};

struct EncodedBatch {
  bool is_memory = false;
  PhysAddr phys;
  std::unique_ptr<std::byte[]> bytes;  ///< the pieces, one after another
  std::vector<EncodedPiece> pieces;
  uint32_t milliseconds = 0;  ///< when it was read, since the start
};

/// For one thread.
class BatchEncoder {
 public:
  virtual ~BatchEncoder() = default;
  /// Fills `out.bytes`, which holds the encoding's BatchBound, and `out.pieces`.
  [[nodiscard]] virtual Status Encode(const PlainBatch& batch, EncodedBatch& out) = 0;
};

/// The image that a format's writer is given.
enum class ImageShape : uint8_t {
  kElf,     ///< ELF header, notes, vendor notes, then RAM
  kMemory,  ///< RAM alone, by ascending address
};

/// Immutable; any thread may call any method.
class ImageEncoding {
 public:
  virtual ~ImageEncoding() = default;
  [[nodiscard]] virtual ImageShape shape() const = 0;
  /// Batches are cut into multiples of it.
  [[nodiscard]] virtual uint64_t unit_bytes() const = 0;
  /// Most bytes that a batch of that size takes.
  [[nodiscard]] virtual uint64_t BatchBound(uint64_t batch_bytes) const = 0;
  /// Memory of one encoder.
  [[nodiscard]] virtual uint64_t encoder_bytes() const = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<BatchEncoder>> NewEncoder() const = 0;
};

/// What an incremental snapshot has from its base.
struct ReferenceCounts {
  uint64_t frames = 0;
  uint64_t content_bytes = 0;
};

/// For one thread.
class ImageWriter {
 public:
  virtual ~ImageWriter() = default;

  /// What comes before the first batch.
  [[nodiscard]] virtual Status Begin() { return {}; }
  [[nodiscard]] virtual Status Append(const EncodedBatch& batch) = 0;
  /// What only the end knows; then flushes. After an error MakeRoom may help.
  [[nodiscard]] virtual Status Finish(const Trailer& trailer) = 0;
  /// Gives up the newest of what was written, so that Finish, with `tail_bytes` to spare, has room
  /// on a disk that is full. Gives up something at each call; an error: nothing is left to give.
  [[nodiscard]] virtual Status MakeRoom(uint64_t tail_bytes) = 0;

  [[nodiscard]] virtual uint64_t plain_bytes() const = 0;  ///< of the image
  [[nodiscard]] virtual uint64_t written_bytes() const = 0;
  [[nodiscard]] virtual uint64_t zero_pages() const = 0;
  [[nodiscard]] virtual ReferenceCounts references() const { return {}; }
};

class SnapshotBase;

/// What a format's writer is made for.
struct WriteRequest {
  const MemorySource* source = nullptr;
  std::optional<PageCodec> codec;            ///< of formats that have a choice; nothing: none
  int level = 0;                             ///< of the codec
  uint32_t frame_bytes = 0;                  ///< of a snapshot, as the next two
  bool hashes = false;                       ///< each frame's is kept
  std::shared_ptr<const SnapshotBase> base;  ///< or nullptr
  unsigned dump_level = 0;                   ///< what is left out, as makedumpfile's -d
  uint64_t image_frames = 0;  ///< that many frames the image has; for the writer alone
};

/// How a format is written.
struct FormatWriting {
  std::string_view suffix;      ///< of a file's name: ".elf.zst"
  bool streams = false;         ///< can go to a pipe
  bool has_codecs = false;      ///< there is a choice of who compresses pages
  bool holds_ranges = true;     ///< which addresses are memory
  bool holds_notes = false;     ///< the source's KCOREDUMP notes are in it
  bool holds_outcomes = false;  ///< each page's outcome is in it
  bool fills_gaps = false;  ///< zeros stand for a page that is left out, which else is not there
  Result<std::shared_ptr<const ImageEncoding>> (*encoding)(const WriteRequest& request);
  /// `sink` must outlive the writer.
  std::unique_ptr<ImageWriter> (*writer)(const WriteRequest& request, ByteSink* sink);
};

}  // namespace kcoredump
