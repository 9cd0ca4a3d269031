// SPDX-License-Identifier: MIT
//
// The only room that sees zstd and xxhash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "kcoredump/result.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;
struct XXH64_state_s;

namespace kcoredump {

/// Largest content of one frame that is unpacked: more is a bomb or not ours.
inline constexpr uint64_t kMaxFrameContentBytes = 4 << 20;

/// Compresses frames that each stand alone, with content size and checksum. For one thread.
class FrameCompressor {
 public:
  /// `level`: MinCompressionLevel() to MaxCompressionLevel().
  [[nodiscard]] static Result<FrameCompressor> Create(int level);
  FrameCompressor(FrameCompressor&& other) noexcept;
  ~FrameCompressor();

  /// `out` holds at least CompressedBound(in.size()). Returns the frame's length.
  [[nodiscard]] Result<size_t> Compress(std::span<const std::byte> in, std::span<std::byte> out);

 private:
  explicit FrameCompressor(ZSTD_CCtx_s* context) : context_(context) {}
  ZSTD_CCtx_s* context_;
};

[[nodiscard]] int MinCompressionLevel();
[[nodiscard]] int MaxCompressionLevel();
[[nodiscard]] size_t CompressedBound(size_t content_bytes);
/// Memory of a FrameCompressor in use, for frames of that size.
[[nodiscard]] size_t CompressorBytes(int level, size_t content_bytes);
/// Memory of a FrameDecompressor.
[[nodiscard]] size_t DecompressorBytes();
[[nodiscard]] const char* ZstdVersion();

/// Unpacks frames and checks their checksums. For one thread.
class FrameDecompressor {
 public:
  [[nodiscard]] static Result<FrameDecompressor> Create();
  FrameDecompressor(FrameDecompressor&& other) noexcept;
  ~FrameDecompressor();

  /// Unpacks one whole frame into `out`, which it fills exactly. kCorrupt otherwise.
  [[nodiscard]] Status Decompress(std::span<const std::byte> frame, std::span<std::byte> out);

 private:
  explicit FrameDecompressor(ZSTD_DCtx_s* context) : context_(context) {}
  ZSTD_DCtx_s* context_;
};

/// What the first bytes of a frame tell.
struct FrameHeader {
  bool skippable = false;
  uint32_t skippable_magic = 0;           ///< of a skippable frame
  uint64_t skippable_bytes = 0;           ///< its payload
  std::optional<uint64_t> content_bytes;  ///< of a data frame, where it says
  bool has_checksum = false;
};

inline constexpr size_t kFrameHeaderMaxBytes = 18;

/// kCorrupt: neither a zstd frame nor a skippable one, or cut off within its header.
[[nodiscard]] Result<FrameHeader> ParseFrameHeader(std::span<const std::byte> bytes);

/// The length of the data frame at the start of `bytes`; nothing: it is damaged or cut off.
[[nodiscard]] std::optional<size_t> FrameLength(std::span<const std::byte> bytes);

/// The content checksum that ends a frame: the low 32 bits of XXH64 of its content (RFC 8878), the
/// same number that the seek table wants.
[[nodiscard]] uint32_t StoredChecksum(std::span<const std::byte> frame);

/// XXH64 with seed 0.
[[nodiscard]] uint64_t Hash64(std::span<const std::byte> bytes);

/// The same over bytes that come in pieces.
class StreamHash64 {
 public:
  StreamHash64();
  StreamHash64(const StreamHash64&) = delete;
  StreamHash64& operator=(const StreamHash64&) = delete;
  ~StreamHash64();
  void Add(std::span<const std::byte> bytes);
  [[nodiscard]] uint64_t Digest() const;

 private:
  XXH64_state_s* state_;
};

}  // namespace kcoredump
