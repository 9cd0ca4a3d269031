// SPDX-License-Identifier: MIT
#include "format/snapshot/encoder.h"

#include <algorithm>
#include <cstring>

#include "base/try.h"
#include "format/codec.h"

namespace kcoredump {

namespace {

/// A frame that is written often.
struct ReadyFrame {
  std::vector<std::byte> bytes;
  Hash256 hash{};
};

/// Of a batch, what becomes one frame.
struct FramePart {
  std::span<const std::byte> bytes;
  std::span<const PageContent> pages;

  [[nodiscard]] uint32_t Count(PageContent kind) const {
    return static_cast<uint32_t>(std::count(pages.begin(), pages.end(), kind));
  }
};

class SnapshotEncoder : public BatchEncoder {
 public:
  /// `options` and `zero_frame` are the encoding's, which outlives its encoders.
  SnapshotEncoder(FrameCompressor compressor, std::optional<BaseComparer> comparer,
                  const SnapshotEncodingOptions& options, const ReadyFrame& zero_frame)
      : compressor_(std::move(compressor)),
        comparer_(std::move(comparer)),
        options_(options),
        zero_frame_(zero_frame) {}

  Status Encode(const PlainBatch& batch, EncodedBatch& out) override {
    size_t used = 0;
    for (size_t at = 0; at < batch.bytes.size(); at += options_.frame_bytes) {
      const size_t bytes = std::min<size_t>(options_.frame_bytes, batch.bytes.size() - at);
      const size_t page_bytes =
          batch.pages.empty() ? bytes : batch.bytes.size() / batch.pages.size();
      const FramePart part{.bytes = batch.bytes.subspan(at, bytes),
                           .pages = batch.pages.empty()
                                        ? batch.pages
                                        : batch.pages.subspan(at / page_bytes, bytes / page_bytes)};
      KCD_ASSIGN(const EncodedPiece frame,
                 EncodeFrame(batch, at, part, {out.bytes.get() + used, FrameBound()}));
      out.pieces.push_back(frame);
      used += frame.encoded_bytes;
    }
    return {};
  }

 private:
  [[nodiscard]] size_t FrameBound() const {
    return CompressedBound(options_.frame_bytes) + sizeof(Hash256);
  }

  Result<EncodedPiece> EncodeFrame(const PlainBatch& batch, size_t at, const FramePart& part,
                                   std::span<std::byte> out) {
    EncodedPiece frame{.encoded_bytes = 0,
                       .content_bytes = static_cast<uint32_t>(part.bytes.size()),
                       .zero_pages = part.Count(PageContent::kZero),
                       .flags = 0};
    const bool blank = !part.pages.empty() && part.Count(PageContent::kData) == 0;
    if (part.bytes.size() == options_.frame_bytes && blank) {
      Put(zero_frame_.bytes, out, frame);
      PutHash(zero_frame_.hash, out, frame);
      return frame;
    }
    const Hash256 hash = options_.hashes ? Sha256(part.bytes) : Hash256();
    const auto reference =
        comparer_ && batch.is_memory
            ? comparer_->Find(
                  {.phys = PhysAddr{batch.phys.value + at}, .bytes = part.bytes, .hash = hash})
            : std::nullopt;
    if (reference) {
      Put(EncodeReference(*reference), out, frame);
      frame.flags = kReferencePiece;
    } else {
      KCD_ASSIGN(const size_t length, compressor_.Compress(part.bytes, out));
      frame.encoded_bytes = static_cast<uint32_t>(length);
    }
    PutHash(hash, out, frame);
    return frame;
  }

  static void Put(std::span<const std::byte> bytes, std::span<std::byte> out, EncodedPiece& frame) {
    std::memcpy(out.data() + frame.encoded_bytes, bytes.data(), bytes.size());
    frame.encoded_bytes += static_cast<uint32_t>(bytes.size());
  }

  void PutHash(const Hash256& hash, std::span<std::byte> out, EncodedPiece& frame) const {
    if (!options_.hashes) return;
    Put(hash, out, frame);
    frame.flags |= kHashedPiece;
  }

  FrameCompressor compressor_;
  std::optional<BaseComparer> comparer_;
  const SnapshotEncodingOptions& options_;
  const ReadyFrame& zero_frame_;
};

class SnapshotEncoding : public ImageEncoding {
 public:
  SnapshotEncoding(const SnapshotEncodingOptions& options, ReadyFrame zero_frame)
      : options_(options),
        zero_frame_(std::move(zero_frame)),
        encoder_bytes_(CompressorBytes(options.level, options.frame_bytes) +
                       (options.base != nullptr ? BaseComparer::MostBytes(*options.base) : 0)) {}

  ImageShape shape() const override { return ImageShape::kElf; }
  uint64_t unit_bytes() const override { return options_.frame_bytes; }
  uint64_t BatchBound(uint64_t batch_bytes) const override {
    return (batch_bytes + options_.frame_bytes - 1) / options_.frame_bytes *
           (CompressedBound(options_.frame_bytes) + sizeof(Hash256));
  }
  uint64_t encoder_bytes() const override { return encoder_bytes_; }
  Result<std::unique_ptr<BatchEncoder>> NewEncoder() const override {
    KCD_ASSIGN(FrameCompressor compressor, FrameCompressor::Create(options_.level));
    std::optional<BaseComparer> comparer;
    if (options_.base != nullptr) {
      KCD_ASSIGN(BaseComparer made, BaseComparer::Create(options_.base));
      comparer.emplace(std::move(made));
    }
    return std::unique_ptr<BatchEncoder>(
        new SnapshotEncoder(std::move(compressor), std::move(comparer), options_, zero_frame_));
  }

 private:
  SnapshotEncodingOptions options_;
  ReadyFrame zero_frame_;
  uint64_t encoder_bytes_;
};

}  // namespace

Result<std::shared_ptr<const ImageEncoding>> MakeSnapshotEncoding(
    const SnapshotEncodingOptions& options) {
  KCD_ASSIGN(FrameCompressor compressor, FrameCompressor::Create(options.level));
  const std::vector<std::byte> zeros(options.frame_bytes);
  ReadyFrame frame;
  frame.bytes.resize(CompressedBound(zeros.size()));
  KCD_ASSIGN(const size_t length, compressor.Compress(zeros, frame.bytes));
  frame.bytes.resize(length);
  if (options.hashes) frame.hash = Sha256(zeros);
  return std::shared_ptr<const ImageEncoding>(new SnapshotEncoding(options, std::move(frame)));
}

}  // namespace kcoredump
