// SPDX-License-Identifier: MIT
#include "format/raw/writer.h"

#include "base/try.h"
#include "format/plain_encoding.h"
#include "format/write_log.h"

namespace kcoredump {

namespace {

class RawWriter : public ImageWriter {
 public:
  explicit RawWriter(ByteSink* sink) : sink_(sink) {}

  Status Append(const EncodedBatch& batch) override {
    WriteMark mark = log_.now();
    KCD_TRY(sink_->Skip(batch.phys.value - mark.file_bytes));
    mark.file_bytes = batch.phys.value;
    size_t at = 0;
    for (const EncodedPiece& piece : batch.pieces) {
      KCD_TRY(sink_->Write({batch.bytes.get() + at, piece.encoded_bytes}));
      KCD_TRY(sink_->Skip(piece.content_bytes - piece.encoded_bytes));
      mark.file_bytes += piece.content_bytes;
      mark.plain_bytes += piece.content_bytes;
      mark.zero_pages += piece.zero_pages;
      at += piece.encoded_bytes;
    }
    log_.Add(mark, sink_->taken_bytes());
    return {};
  }

  Status Finish(const Trailer& /*trailer*/) override { return sink_->Flush(); }
  Status MakeRoom(uint64_t /*tail_bytes*/) override { return log_.GoBack(*sink_); }

  uint64_t plain_bytes() const override { return log_.now().plain_bytes; }
  uint64_t written_bytes() const override { return log_.now().file_bytes; }
  uint64_t zero_pages() const override { return log_.now().zero_pages; }

 private:
  ByteSink* sink_;
  WriteLog log_;
};

}  // namespace

const FormatWriting kRawWriting = {
    .suffix = ".raw",
    .streams = true,
    .holds_ranges = false,
    .encoding =
        [](const WriteRequest& /*request*/) -> Result<std::shared_ptr<const ImageEncoding>> {
      return MakePlainEncoding(ImageShape::kMemory);
    },
    .writer = [](const WriteRequest& /*request*/, ByteSink* sink) -> std::unique_ptr<ImageWriter> {
      return std::make_unique<RawWriter>(sink);
    }};

}  // namespace kcoredump
