// SPDX-License-Identifier: MIT
#include "format/plain_encoding.h"

#include <algorithm>

namespace kcoredump {

namespace {

/// What a batch may be cut at; any page size divides it.
constexpr uint64_t kPlainUnitBytes = 64 << 10;

class PlainEncoder : public BatchEncoder {
 public:
  Status Encode(const PlainBatch& batch, EncodedBatch& out) override {
    if (!batch.is_memory) {
      std::copy(batch.bytes.begin(), batch.bytes.end(), out.bytes.get());
      const auto bytes = static_cast<uint32_t>(batch.bytes.size());
      out.pieces.push_back({.encoded_bytes = bytes, .content_bytes = bytes});
      return {};
    }
    const size_t page_bytes = batch.bytes.size() / batch.pages.size();
    size_t used = 0;
    for (size_t first = 0; first < batch.pages.size();) {
      const bool hole = batch.pages[first] == PageContent::kHole;
      size_t end = first;
      EncodedPiece piece{.flags = hole ? kHolePiece : 0};
      for (; end < batch.pages.size() && (batch.pages[end] == PageContent::kHole) == hole; ++end) {
        piece.zero_pages += batch.pages[end] == PageContent::kZero ? 1 : 0;
      }
      const auto bytes = batch.bytes.subspan(first * page_bytes, (end - first) * page_bytes);
      piece.content_bytes = static_cast<uint32_t>(bytes.size());
      if (!hole) {
        piece.encoded_bytes = piece.content_bytes;
        std::copy(bytes.begin(), bytes.end(), out.bytes.get() + used);
        used += bytes.size();
      }
      out.pieces.push_back(piece);
      first = end;
    }
    return {};
  }
};

class PlainEncoding : public ImageEncoding {
 public:
  explicit PlainEncoding(ImageShape shape) : shape_(shape) {}
  ImageShape shape() const override { return shape_; }
  uint64_t unit_bytes() const override { return kPlainUnitBytes; }
  uint64_t BatchBound(uint64_t batch_bytes) const override { return batch_bytes; }
  uint64_t encoder_bytes() const override { return 0; }
  Result<std::unique_ptr<BatchEncoder>> NewEncoder() const override {
    return std::unique_ptr<BatchEncoder>(std::make_unique<PlainEncoder>());
  }

 private:
  ImageShape shape_;
};

}  // namespace

std::shared_ptr<const ImageEncoding> MakePlainEncoding(ImageShape shape) {
  return std::make_shared<const PlainEncoding>(shape);
}

}  // namespace kcoredump
