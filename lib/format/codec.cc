// SPDX-License-Identifier: MIT
#define ZSTD_STATIC_LINKING_ONLY  // ZSTD_getFrameHeader, ZSTD_estimateCCtxSize
#include "format/codec.h"

#include <xxhash.h>
#include <zstd.h>

#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"

namespace kcoredump {

namespace {

/// Level 1's hash table is made to fit into a first-level cache of 32 KiB, for 0.2 % of the output
/// and 5 % of the time (tests/bench/README.md).
constexpr int kCachedHashLevel = 1;
constexpr int kCachedHashLog = 13;

}  // namespace

Result<FrameCompressor> FrameCompressor::Create(int level) {
  FrameCompressor compressor(ZSTD_createCCtx());
  if (compressor.context_ == nullptr) {
    return MakeError(ErrorCode::kLimitExceeded, "no memory for a zstd compressor");
  }
  // 0: as the level has it.
  const int hash_log = level == kCachedHashLevel ? kCachedHashLog : 0;
  for (const auto& [parameter, value] :
       {std::pair{ZSTD_c_compressionLevel, level}, std::pair{ZSTD_c_hashLog, hash_log},
        std::pair{ZSTD_c_checksumFlag, 1}, std::pair{ZSTD_c_contentSizeFlag, 1}}) {
    const size_t code = ZSTD_CCtx_setParameter(compressor.context_, parameter, value);
    if (ZSTD_isError(code) != 0) {
      return MakeError(ErrorCode::kInvalidArgument, ZSTD_getErrorName(code));
    }
  }
  return compressor;
}

FrameCompressor::FrameCompressor(FrameCompressor&& other) noexcept
    : context_(std::exchange(other.context_, nullptr)) {}

FrameCompressor::~FrameCompressor() { ZSTD_freeCCtx(context_); }

Result<size_t> FrameCompressor::Compress(std::span<const std::byte> in, std::span<std::byte> out) {
  const size_t length = ZSTD_compress2(context_, out.data(), out.size(), in.data(), in.size());
  if (ZSTD_isError(length) == 0) return length;
  return MakeError(ErrorCode::kIo, std::string("zstd: ") + ZSTD_getErrorName(length));
}

int MinCompressionLevel() { return -7; }

int MaxCompressionLevel() { return ZSTD_maxCLevel(); }

size_t CompressedBound(size_t content_bytes) { return ZSTD_compressBound(content_bytes); }

size_t CompressorBytes(int level, size_t content_bytes) {
  return ZSTD_estimateCCtxSize_usingCParams(ZSTD_getCParams(level, content_bytes, 0));
}

size_t DecompressorBytes() { return ZSTD_estimateDCtxSize(); }

const char* ZstdVersion() { return ZSTD_versionString(); }

Result<FrameDecompressor> FrameDecompressor::Create() {
  FrameDecompressor decompressor(ZSTD_createDCtx());
  if (decompressor.context_ != nullptr) return decompressor;
  return MakeError(ErrorCode::kLimitExceeded, "no memory for a zstd decompressor");
}

FrameDecompressor::FrameDecompressor(FrameDecompressor&& other) noexcept
    : context_(std::exchange(other.context_, nullptr)) {}

FrameDecompressor::~FrameDecompressor() { ZSTD_freeDCtx(context_); }

Status FrameDecompressor::Decompress(std::span<const std::byte> frame, std::span<std::byte> out) {
  const size_t length =
      ZSTD_decompressDCtx(context_, out.data(), out.size(), frame.data(), frame.size());
  if (ZSTD_isError(length) != 0) return Corrupt(std::string("zstd: ") + ZSTD_getErrorName(length));
  if (length != out.size()) return Corrupt("a frame is shorter than the seek table says");
  return {};
}

Result<FrameHeader> ParseFrameHeader(std::span<const std::byte> bytes) {
  ZSTD_frameHeader raw{};
  const size_t code = ZSTD_getFrameHeader(&raw, bytes.data(), bytes.size());
  if (ZSTD_isError(code) != 0) return Corrupt("not a zstd frame");
  if (code != 0) return Corrupt("cut off within a frame header");
  FrameHeader header;
  if (raw.frameType == ZSTD_skippableFrame) {
    header.skippable = true;
    std::memcpy(&header.skippable_magic, bytes.data(), sizeof(header.skippable_magic));
    header.skippable_bytes = raw.frameContentSize;
    return header;
  }
  if (raw.frameContentSize != ZSTD_CONTENTSIZE_UNKNOWN) header.content_bytes = raw.frameContentSize;
  header.has_checksum = raw.checksumFlag != 0;
  return header;
}

std::optional<size_t> FrameLength(std::span<const std::byte> bytes) {
  const size_t length = ZSTD_findFrameCompressedSize(bytes.data(), bytes.size());
  if (ZSTD_isError(length) != 0) return std::nullopt;
  return length;
}

uint32_t StoredChecksum(std::span<const std::byte> frame) {
  uint32_t checksum = 0;
  if (frame.size() < sizeof(checksum)) return 0;
  std::memcpy(&checksum, frame.data() + frame.size() - sizeof(checksum), sizeof(checksum));
  return checksum;
}

uint64_t Hash64(std::span<const std::byte> bytes) { return XXH64(bytes.data(), bytes.size(), 0); }

StreamHash64::StreamHash64() : state_(XXH64_createState()) { XXH64_reset(state_, 0); }

StreamHash64::~StreamHash64() { XXH64_freeState(state_); }

void StreamHash64::Add(std::span<const std::byte> bytes) {
  XXH64_update(state_, bytes.data(), bytes.size());
}

uint64_t StreamHash64::Digest() const { return XXH64_digest(state_); }

}  // namespace kcoredump
