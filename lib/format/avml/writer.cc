// SPDX-License-Identifier: MIT
#include "format/avml/writer.h"

#include <algorithm>
#include <cstring>

#include "base/try.h"
#include "format/avml/format.h"
#include "format/codec_page.h"
#include "format/lime/format.h"
#include "format/write_log.h"

namespace kcoredump {

namespace {

/// What a batch may be cut at; any page size divides it.
constexpr uint64_t kUnitBytes = 64 << 10;
/// More than header, stream identifier, one chunk's header and the length at the end take.
constexpr uint64_t kRunOverheadBytes = 64;
constexpr uint64_t kLeastPageBytes = 4096;
/// The hash table of a snappy compressor.
constexpr uint64_t kCompressorBytes = 64 << 10;

class AvmlEncoder : public BatchEncoder {
 public:
  explicit AvmlEncoder(PageCompressor compressor)
      : compressor_(std::move(compressor)),
        packed_(CompressedPageBound(PageCodec::kSnappy, kMaxSnappyContentBytes)) {}

  /// One piece for each run of pages that are holes, or are not.
  Status Encode(const PlainBatch& batch, EncodedBatch& out) override {
    const size_t page_bytes = batch.bytes.size() / batch.pages.size();
    end_ = out.bytes.get();
    for (auto run = batch.pages.begin(); run != batch.pages.end();) {
      const bool hole = *run == PageContent::kHole;
      const auto run_end = std::find_if(run, batch.pages.end(), [&](PageContent content) {
        return (content == PageContent::kHole) != hole;
      });
      const auto at = static_cast<size_t>(run - batch.pages.begin()) * page_bytes;
      const auto bytes = static_cast<size_t>(run_end - run) * page_bytes;
      const std::byte* begin = end_;
      if (!hole) {
        KCD_TRY(EncodeRun({batch.phys.value + at, batch.phys.value + at + bytes},
                          batch.bytes.subspan(at, bytes)));
      }
      out.pieces.push_back(
          {.encoded_bytes = static_cast<uint32_t>(end_ - begin),
           .content_bytes = static_cast<uint32_t>(bytes),
           .zero_pages = static_cast<uint32_t>(std::count(run, run_end, PageContent::kZero))});
      run = run_end;
    }
    return {};
  }

 private:
  Status EncodeRun(const Range& phys, std::span<const std::byte> content) {
    const MemoryRangeHeader header = MakeRangeHeader(kAvmlMagic, kAvmlVersion, phys);
    Put(std::as_bytes(std::span(&header, 1)));
    const std::byte* stream = end_;
    Put(std::as_bytes(std::span(kSnappyStreamIdChunk)));
    for (size_t at = 0; at < content.size(); at += kMaxSnappyContentBytes) {
      KCD_TRY(PutChunk(content.subspan(at, std::min(kMaxSnappyContentBytes, content.size() - at))));
    }
    const auto stream_bytes = static_cast<uint64_t>(end_ - stream);
    Put(std::as_bytes(std::span(&stream_bytes, 1)));
    return {};
  }

  Status PutChunk(std::span<const std::byte> content) {
    KCD_ASSIGN(const size_t packed_bytes, compressor_.Compress(content, packed_));
    const bool smaller = packed_bytes < content.size();
    const auto body = smaller ? std::span<const std::byte>(packed_).first(packed_bytes) : content;
    const uint32_t checksum = SnappyChecksum(content);
    Put(EncodeSnappyChunkHeader(
        {.type = smaller ? kSnappyCompressed : kSnappyUncompressed,
         .bytes = static_cast<uint32_t>(body.size() + kSnappyChecksumBytes)}));
    Put(std::as_bytes(std::span(&checksum, 1)));
    Put(body);
    return {};
  }

  void Put(std::span<const std::byte> bytes) {
    std::memcpy(end_, bytes.data(), bytes.size());
    end_ += bytes.size();
  }

  PageCompressor compressor_;
  std::vector<std::byte> packed_;
  std::byte* end_ = nullptr;  ///< of what was encoded, in the batch at hand
};

class AvmlEncoding : public ImageEncoding {
 public:
  ImageShape shape() const override { return ImageShape::kMemory; }
  uint64_t unit_bytes() const override { return kUnitBytes; }
  uint64_t BatchBound(uint64_t batch_bytes) const override {
    return batch_bytes + batch_bytes / kLeastPageBytes * kRunOverheadBytes;
  }
  uint64_t encoder_bytes() const override { return kCompressorBytes; }
  Result<std::unique_ptr<BatchEncoder>> NewEncoder() const override {
    KCD_ASSIGN(PageCompressor compressor, PageCompressor::Create(PageCodec::kSnappy, 0));
    return std::unique_ptr<BatchEncoder>(std::make_unique<AvmlEncoder>(std::move(compressor)));
  }
};

class AvmlWriter : public ImageWriter {
 public:
  explicit AvmlWriter(ByteSink* sink) : sink_(sink) {}

  Status Append(const EncodedBatch& batch) override {
    WriteMark mark = log_.now();
    uint64_t bytes = 0;
    for (const EncodedPiece& piece : batch.pieces) {
      bytes += piece.encoded_bytes;
      mark.plain_bytes += piece.content_bytes;
      mark.zero_pages += piece.zero_pages;
    }
    KCD_TRY(sink_->Write({batch.bytes.get(), bytes}));
    mark.file_bytes += bytes;
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

const FormatWriting kAvmlWriting = {
    .suffix = ".avml",
    .streams = true,
    .encoding =
        [](const WriteRequest& /*request*/) -> Result<std::shared_ptr<const ImageEncoding>> {
      return std::shared_ptr<const ImageEncoding>(std::make_shared<const AvmlEncoding>());
    },
    .writer = [](const WriteRequest& /*request*/, ByteSink* sink) -> std::unique_ptr<ImageWriter> {
      return std::make_unique<AvmlWriter>(sink);
    }};

}  // namespace kcoredump
