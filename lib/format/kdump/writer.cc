// SPDX-License-Identifier: MIT
#include "format/kdump/writer.h"

#include <cstring>
#include <deque>

#include "base/try.h"
#include "format/flattened/sink.h"
#include "format/kdump/encoder.h"
#include "format/kdump/format.h"
#include "format/kdump/head.h"
#include "format/kdump/table_writer.h"
#include "format/write_log.h"

namespace kcoredump {

namespace {

/// A batch of pages that the kernel may not have taken yet.
struct PendingPages {
  uint64_t file_end = 0;
  uint64_t first_pfn = 0;
  std::vector<EncodedPiece> pages;
  uint64_t data_offset = 0;  ///< of the first of them that has bytes
};

class KdumpWriter : public ImageWriter {
 public:
  KdumpWriter(const WriteRequest& request, ByteSink* sink)
      : source_(*request.source),
        head_(source_, request.dump_level),
        sink_(sink),
        page_bytes_(source_.page_bytes()),
        status_(request.codec ? KdumpFlagOf(*request.codec) : 0) {}

  Status Begin() override;
  Status Append(const EncodedBatch& batch) override;
  Status Finish(const Trailer& trailer) override;
  Status MakeRoom(uint64_t tail_bytes) override;

  uint64_t plain_bytes() const override { return log_.now().plain_bytes; }
  uint64_t written_bytes() const override { return log_.now().file_bytes; }
  uint64_t zero_pages() const override { return log_.now().zero_pages; }

 private:
  [[nodiscard]] Status WriteMemoryBitmap(uint64_t offset);
  [[nodiscard]] Status Settle(uint64_t taken_bytes);

  const MemorySource& source_;
  KdumpHead head_;
  ByteSink* sink_;
  uint64_t page_bytes_;
  uint32_t status_;
  std::optional<BitmapWriter> dumped_;
  std::optional<DescriptorWriter> descriptors_;
  std::deque<PendingPages> pending_;
  WriteLog log_;
};

/// Everything up to the pages: headers, the bitmap of memory, and room for what the end knows.
Status KdumpWriter::Begin() {
  KCD_TRY(sink_->Reserve(head_.pages()));
  std::vector<std::byte> first(page_bytes_);
  const KdumpMainHeader main = head_.MainHeader(status_, 0);
  std::memcpy(first.data(), &main, sizeof(main));
  KCD_TRY(sink_->Write(first));
  KCD_TRY(sink_->Write(head_.sub_header()));
  // What is patched later, and then the page that stands for all pages of zeros.
  KCD_TRY(sink_->Skip(head_.pages() - head_.memory_bitmap() + page_bytes_));
  KCD_TRY(WriteMemoryBitmap(head_.memory_bitmap()));
  dumped_.emplace(sink_, head_.dumped_bitmap());
  descriptors_.emplace(sink_, head_.descriptors());
  log_.Begin(head_.pages() + page_bytes_);
  return {};
}

Status KdumpWriter::WriteMemoryBitmap(uint64_t offset) {
  BitmapWriter bitmap(sink_, offset);
  for (const Segment& segment : source_.map().ram()) {
    const Range range = segment.PhysRange();
    for (uint64_t at = range.begin; at < range.end; at += page_bytes_) {
      KCD_TRY(bitmap.Set(at / page_bytes_));
    }
  }
  return bitmap.Finish();
}

Status KdumpWriter::Append(const EncodedBatch& batch) {
  WriteMark mark = log_.now();
  PendingPages pages{.file_end = 0,
                     .first_pfn = batch.phys.value / page_bytes_,
                     .pages = batch.pieces,
                     .data_offset = mark.file_bytes};
  uint64_t data_bytes = 0;
  for (const EncodedPiece& piece : batch.pieces) {
    mark.plain_bytes += piece.content_bytes;
    mark.zero_pages += piece.zero_pages;
    data_bytes += piece.encoded_bytes;
  }
  KCD_TRY(sink_->Write({batch.bytes.get(), data_bytes}));
  mark.file_bytes += data_bytes;
  pages.file_end = mark.file_bytes;
  pending_.push_back(std::move(pages));
  log_.Add(mark, sink_->taken_bytes());
  return Settle(sink_->taken_bytes());
}

/// Enters pages whose data is with the kernel into bitmap and descriptors.
Status KdumpWriter::Settle(uint64_t taken_bytes) {
  for (; !pending_.empty() && pending_.front().file_end <= taken_bytes; pending_.pop_front()) {
    const PendingPages& batch = pending_.front();
    uint64_t offset = batch.data_offset;
    for (size_t i = 0; i < batch.pages.size(); ++i) {
      const EncodedPiece& page = batch.pages[i];
      if (page.flags == kHolePage) continue;
      KCD_TRY(dumped_->Set(batch.first_pfn + i));
      const bool zero = page.zero_pages != 0;
      KCD_TRY(descriptors_->Add(
          {.offset = zero ? head_.pages() : offset,
           .bytes = zero ? static_cast<uint32_t>(page_bytes_) : page.encoded_bytes,
           .flags = page.flags}));
      offset += page.encoded_bytes;
    }
  }
  return {};
}

Status KdumpWriter::Finish(const Trailer& trailer) {
  KCD_TRY(sink_->Flush());
  KCD_TRY(Settle(log_.now().file_bytes));
  KCD_TRY(dumped_->Finish());
  KCD_TRY(descriptors_->Finish());
  if (!trailer.complete) status_ |= kKdumpIncomplete;
  const KdumpMainHeader main = head_.MainHeader(status_, trailer.started_utc_ns);
  KCD_TRY(sink_->Patch(0, std::as_bytes(std::span(&main, 1))));
  return sink_->Flush();
}

Status KdumpWriter::MakeRoom(uint64_t /*tail_bytes*/) {
  KCD_TRY(log_.GoBack(*sink_));
  std::erase_if(pending_,
                [&](const PendingPages& batch) { return batch.file_end > log_.now().file_bytes; });
  return {};
}

/// A kdump file whose writes become records.
class FlattenedKdumpWriter : public ImageWriter {
 public:
  FlattenedKdumpWriter(const WriteRequest& request, ByteSink* sink)
      : records_(sink), kdump_(request, &records_) {}

  Status Begin() override { return kdump_.Begin(); }
  Status Append(const EncodedBatch& batch) override { return kdump_.Append(batch); }
  Status Finish(const Trailer& trailer) override {
    KCD_TRY(kdump_.Finish(trailer));
    return records_.End();
  }
  Status MakeRoom(uint64_t tail_bytes) override { return kdump_.MakeRoom(tail_bytes); }
  uint64_t plain_bytes() const override { return kdump_.plain_bytes(); }
  uint64_t written_bytes() const override { return kdump_.written_bytes(); }
  uint64_t zero_pages() const override { return kdump_.zero_pages(); }

 private:
  FlattenedSink records_;
  KdumpWriter kdump_;
};

Result<std::shared_ptr<const ImageEncoding>> EncodingFor(const WriteRequest& request) {
  return MakeKdumpEncoding(request.codec, request.level, request.source->page_bytes());
}

}  // namespace

const FormatWriting kKdumpWriting = {
    .suffix = ".kdump",
    .streams = false,
    .has_codecs = true,
    .encoding = EncodingFor,
    .writer = [](const WriteRequest& request, ByteSink* sink) -> std::unique_ptr<ImageWriter> {
      return std::make_unique<KdumpWriter>(request, sink);
    }};

const FormatWriting kFlattenedWriting = {
    .suffix = ".flat",
    .streams = true,
    .has_codecs = true,
    .encoding = EncodingFor,
    .writer = [](const WriteRequest& request, ByteSink* sink) -> std::unique_ptr<ImageWriter> {
      return std::make_unique<FlattenedKdumpWriter>(request, sink);
    }};

}  // namespace kcoredump
