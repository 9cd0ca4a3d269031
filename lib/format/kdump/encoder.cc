// SPDX-License-Identifier: MIT
#include "format/kdump/encoder.h"

#include <algorithm>

#include "base/try.h"
#include "format/codec.h"
#include "format/kdump/format.h"

namespace kcoredump {

namespace {

/// What a batch may be cut at; any page size divides it.
constexpr uint64_t kKdumpUnitBytes = 64 << 10;
/// Of a zlib or lzo compressor; zstd's is asked for.
constexpr uint64_t kSmallCompressorBytes = 512 << 10;

class KdumpEncoder : public BatchEncoder {
 public:
  KdumpEncoder(std::optional<PageCodec> codec, std::optional<PageCompressor> compressor,
               uint64_t page_bytes)
      : codec_(codec), compressor_(std::move(compressor)), page_bytes_(page_bytes) {
    if (codec_) packed_.resize(CompressedPageBound(*codec_, page_bytes));
  }

  Status Encode(const PlainBatch& batch, EncodedBatch& out) override {
    std::byte* end = out.bytes.get();
    for (size_t page = 0; page < batch.pages.size(); ++page) {
      EncodedPiece piece{.content_bytes = static_cast<uint32_t>(page_bytes_)};
      if (batch.pages[page] == PageContent::kHole) piece.flags = kHolePage;
      if (batch.pages[page] == PageContent::kZero) piece.zero_pages = 1;
      if (batch.pages[page] == PageContent::kData) {
        KCD_TRY(Pack(batch.bytes.subspan(page * page_bytes_, page_bytes_), end, piece));
        end += piece.encoded_bytes;
      }
      out.pieces.push_back(piece);
    }
    return {};
  }

 private:
  Status Pack(std::span<const std::byte> content, std::byte* out, EncodedPiece& piece) {
    if (compressor_) {
      KCD_ASSIGN(const size_t length, compressor_->Compress(content, packed_));
      if (length < content.size()) {
        piece.flags = KdumpFlagOf(*codec_);
        content = std::span<const std::byte>(packed_).first(length);
      }
    }
    std::copy(content.begin(), content.end(), out);
    piece.encoded_bytes = static_cast<uint32_t>(content.size());
    return {};
  }

  std::optional<PageCodec> codec_;
  std::optional<PageCompressor> compressor_;
  uint64_t page_bytes_;
  std::vector<std::byte> packed_;
};

class KdumpEncoding : public ImageEncoding {
 public:
  KdumpEncoding(std::optional<PageCodec> codec, int level, uint64_t page_bytes)
      : codec_(codec), level_(level), page_bytes_(page_bytes) {}

  ImageShape shape() const override { return ImageShape::kMemory; }
  uint64_t unit_bytes() const override { return kKdumpUnitBytes; }
  uint64_t BatchBound(uint64_t batch_bytes) const override { return batch_bytes; }
  uint64_t encoder_bytes() const override {
    return codec_ == PageCodec::kZstd ? CompressorBytes(level_, page_bytes_)
                                      : kSmallCompressorBytes;
  }
  Result<std::unique_ptr<BatchEncoder>> NewEncoder() const override {
    std::optional<PageCompressor> compressor;
    if (codec_) {
      KCD_ASSIGN(PageCompressor made, PageCompressor::Create(*codec_, level_));
      compressor.emplace(std::move(made));
    }
    return std::unique_ptr<BatchEncoder>(
        std::make_unique<KdumpEncoder>(codec_, std::move(compressor), page_bytes_));
  }

 private:
  std::optional<PageCodec> codec_;
  int level_;
  uint64_t page_bytes_;
};

}  // namespace

std::shared_ptr<const ImageEncoding> MakeKdumpEncoding(std::optional<PageCodec> codec, int level,
                                                       uint64_t page_bytes) {
  return std::make_shared<const KdumpEncoding>(codec, level, page_bytes);
}

}  // namespace kcoredump
