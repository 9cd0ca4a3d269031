// SPDX-License-Identifier: MIT
//
// Compression of one page, or of one block of a stream, on its own, as kdump and AVML do it. With
// codec.h the only place that sees zlib, lzo2, snappy and zstd.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "kcoredump/result.h"

namespace kcoredump {

enum class PageCodec : uint8_t {
  kZlib,    ///< a zlib stream (RFC 1950)
  kLzo,     ///< LZO1X
  kSnappy,  ///< a raw snappy block, without framing
  kZstd,    ///< a zstd frame (RFC 8878)
};

/// "zlib", "lzo", "snappy", "zstd".
[[nodiscard]] std::string_view PageCodecName(PageCodec codec);

/// Unpacks pages, with any codec. For one thread.
class PageDecompressor {
 public:
  [[nodiscard]] static Result<PageDecompressor> Create();
  PageDecompressor(PageDecompressor&&) noexcept;
  ~PageDecompressor();

  /// Fills `out` exactly, and never writes beyond it, whatever `in` says. kCorrupt: `in` is
  /// damaged, or unpacks to more or less than `out`.
  [[nodiscard]] Status Decompress(PageCodec codec, std::span<const std::byte> in,
                                  std::span<std::byte> out);

 private:
  struct State;
  explicit PageDecompressor(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Packs pages with one codec. For one thread.
class PageCompressor {
 public:
  /// `level`: of zlib (1 to 9) or zstd; lzo and snappy have none.
  [[nodiscard]] static Result<PageCompressor> Create(PageCodec codec, int level);
  PageCompressor(PageCompressor&&) noexcept;
  ~PageCompressor();

  /// `out` holds at least CompressedPageBound(). Returns the bytes written.
  [[nodiscard]] Result<size_t> Compress(std::span<const std::byte> in, std::span<std::byte> out);

 private:
  struct State;
  explicit PageCompressor(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// No content of that length gets longer than this.
[[nodiscard]] size_t CompressedPageBound(PageCodec codec, size_t content_bytes);

/// What a raw snappy block says it unpacks to, from its first bytes (five are enough); nothing: it
/// does not say.
[[nodiscard]] std::optional<size_t> SnappyContentBytes(std::span<const std::byte> block);

}  // namespace kcoredump
