// SPDX-License-Identifier: MIT
#include "format/snapshot/encoder.h"

#include <algorithm>

#include "base/try.h"
#include "format/codec.h"

namespace kcoredump {

namespace {

class SnapshotEncoder : public BatchEncoder {
 public:
  /// `zero_frame` is the encoding's, which outlives its encoders.
  SnapshotEncoder(FrameCompressor compressor, uint32_t frame_bytes,
                  std::span<const std::byte> zero_frame)
      : compressor_(std::move(compressor)), frame_bytes_(frame_bytes), zero_frame_(zero_frame) {}

  Status Encode(const PlainBatch& batch, EncodedBatch& out) override {
    size_t used = 0;
    for (size_t at = 0; at < batch.bytes.size(); at += frame_bytes_) {
      const size_t bytes = std::min<size_t>(frame_bytes_, batch.bytes.size() - at);
      const size_t page_bytes =
          batch.pages.empty() ? bytes : batch.bytes.size() / batch.pages.size();
      const auto pages = batch.pages.empty()
                             ? batch.pages
                             : batch.pages.subspan(at / page_bytes, bytes / page_bytes);
      KCD_ASSIGN(const EncodedPiece frame,
                 Compress(batch.bytes.subspan(at, bytes), pages, out.bytes.get() + used));
      out.pieces.push_back(frame);
      used += frame.encoded_bytes;
    }
    return {};
  }

 private:
  Result<EncodedPiece> Compress(std::span<const std::byte> content,
                                std::span<const PageContent> pages, std::byte* out) {
    const auto count = [&](PageContent kind) {
      return static_cast<uint32_t>(std::count(pages.begin(), pages.end(), kind));
    };
    EncodedPiece frame{.encoded_bytes = 0,
                       .content_bytes = static_cast<uint32_t>(content.size()),
                       .zero_pages = count(PageContent::kZero)};
    const bool blank = !pages.empty() && count(PageContent::kData) == 0;
    if (content.size() == frame_bytes_ && blank) {
      std::copy(zero_frame_.begin(), zero_frame_.end(), out);
      frame.encoded_bytes = static_cast<uint32_t>(zero_frame_.size());
      return frame;
    }
    KCD_ASSIGN(const size_t length,
               compressor_.Compress(content, {out, CompressedBound(content.size())}));
    frame.encoded_bytes = static_cast<uint32_t>(length);
    return frame;
  }

  FrameCompressor compressor_;
  uint32_t frame_bytes_;
  std::span<const std::byte> zero_frame_;
};

class SnapshotEncoding : public ImageEncoding {
 public:
  SnapshotEncoding(int level, uint32_t frame_bytes, std::vector<std::byte> zero_frame)
      : level_(level), frame_bytes_(frame_bytes), zero_frame_(std::move(zero_frame)) {}

  ImageShape shape() const override { return ImageShape::kElf; }
  uint64_t unit_bytes() const override { return frame_bytes_; }
  uint64_t BatchBound(uint64_t batch_bytes) const override {
    return (batch_bytes + frame_bytes_ - 1) / frame_bytes_ * CompressedBound(frame_bytes_);
  }
  uint64_t encoder_bytes() const override { return CompressorBytes(level_, frame_bytes_); }
  Result<std::unique_ptr<BatchEncoder>> NewEncoder() const override {
    KCD_ASSIGN(FrameCompressor compressor, FrameCompressor::Create(level_));
    return std::unique_ptr<BatchEncoder>(
        new SnapshotEncoder(std::move(compressor), frame_bytes_, zero_frame_));
  }

 private:
  int level_;
  uint32_t frame_bytes_;
  std::vector<std::byte> zero_frame_;
};

}  // namespace

Result<std::shared_ptr<const ImageEncoding>> MakeSnapshotEncoding(int level, uint32_t frame_bytes) {
  KCD_ASSIGN(FrameCompressor compressor, FrameCompressor::Create(level));
  const std::vector<std::byte> zeros(frame_bytes);
  std::vector<std::byte> frame(CompressedBound(zeros.size()));
  KCD_ASSIGN(const size_t length, compressor.Compress(zeros, frame));
  frame.resize(length);
  return std::shared_ptr<const ImageEncoding>(
      new SnapshotEncoding(level, frame_bytes, std::move(frame)));
}

}  // namespace kcoredump
