// SPDX-License-Identifier: MIT
#include "format/lime/writer.h"

#include <vector>

#include "base/error.h"
#include "base/try.h"
#include "format/lime/format.h"
#include "format/plain_encoding.h"
#include "format/write_log.h"

namespace kcoredump {

namespace {

class LimeWriter : public ImageWriter {
 public:
  explicit LimeWriter(ByteSink* sink) : sink_(sink) {}

  Status Append(const EncodedBatch& batch) override {
    WriteMark mark = log_.now();
    uint64_t phys = batch.phys.value;
    size_t at = 0;
    for (const EncodedPiece& piece : batch.pieces) {
      if (piece.flags != kHolePiece) {
        const std::span<const std::byte> bytes(batch.bytes.get() + at, piece.encoded_bytes);
        KCD_TRY(AppendMemory(phys, bytes, mark.file_bytes));
      }
      phys += piece.content_bytes;
      mark.plain_bytes += piece.content_bytes;
      mark.zero_pages += piece.zero_pages;
      at += piece.encoded_bytes;
    }
    log_.Add(mark, sink_->taken_bytes());
    return {};
  }

  Status Finish(const Trailer& /*trailer*/) override {
    KCD_TRY(CloseRange(log_.now().file_bytes));
    return sink_->Flush();
  }

  Status MakeRoom(uint64_t /*tail_bytes*/) override {
    KCD_TRY(log_.GoBack(*sink_));
    while (!ranges_.empty() && ranges_.back().header_offset >= log_.now().file_bytes) {
      ranges_.pop_back();
    }
    return {};
  }

  uint64_t plain_bytes() const override { return log_.now().plain_bytes; }
  uint64_t written_bytes() const override { return log_.now().file_bytes; }
  uint64_t zero_pages() const override { return log_.now().zero_pages; }

 private:
  /// A range whose end its header does not tell yet: what follows it in the file does.
  struct OpenRange {
    uint64_t header_offset = 0;
    uint64_t phys = 0;
    [[nodiscard]] uint64_t EndAt(uint64_t file_bytes) const {
      return phys + (file_bytes - header_offset - sizeof(MemoryRangeHeader));
    }
  };

  Status AppendMemory(uint64_t phys, std::span<const std::byte> bytes, uint64_t& file_bytes) {
    const bool goes_on =
        sink_->can_patch() && !ranges_.empty() && ranges_.back().EndAt(file_bytes) == phys;
    if (!goes_on) {
      KCD_TRY(CloseRange(file_bytes));
      ranges_.push_back({.header_offset = file_bytes, .phys = phys});
      const MemoryRangeHeader header =
          MakeRangeHeader(kLimeMagic, kLimeVersion, {phys, phys + bytes.size()});
      KCD_TRY(sink_->Write(std::as_bytes(std::span(&header, 1))));
      file_bytes += sizeof(header);
    }
    KCD_TRY(sink_->Write(bytes));
    file_bytes += bytes.size();
    return {};
  }

  /// The header of the range that ends with the file so far.
  Status CloseRange(uint64_t file_bytes) {
    if (ranges_.empty() || !sink_->can_patch()) return {};
    const OpenRange& range = ranges_.back();
    const MemoryRangeHeader header =
        MakeRangeHeader(kLimeMagic, kLimeVersion, {range.phys, range.EndAt(file_bytes)});
    return sink_->Patch(range.header_offset, std::as_bytes(std::span(&header, 1)));
  }

  ByteSink* sink_;
  WriteLog log_;
  std::vector<OpenRange> ranges_;
};

}  // namespace

const FormatWriting kLimeWriting = {
    .suffix = ".lime",
    .streams = true,
    .encoding =
        [](const WriteRequest& /*request*/) -> Result<std::shared_ptr<const ImageEncoding>> {
      return MakePlainEncoding(ImageShape::kMemory);
    },
    .writer = [](const WriteRequest& /*request*/, ByteSink* sink) -> std::unique_ptr<ImageWriter> {
      return std::make_unique<LimeWriter>(sink);
    }};

}  // namespace kcoredump
