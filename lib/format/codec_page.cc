// SPDX-License-Identifier: MIT
#include "format/codec_page.h"

#include <lzo/lzo1x.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <string>
#include <vector>

#include "base/error.h"

namespace kcoredump {

namespace {

Error Damaged(PageCodec codec, const std::string& what) {
  return MakeError(ErrorCode::kCorrupt, std::string(PageCodecName(codec)) + ": " + what);
}

Error WrongLength(PageCodec codec) {
  return Damaged(codec, "it does not unpack to the length it must have");
}

Error NoMemory() { return MakeError(ErrorCode::kLimitExceeded, "no memory for a page codec"); }

/// lzo2 checks here that it was built for this machine.
bool LzoWorks() {
  static const bool works = lzo_init() == LZO_E_OK;
  return works;
}

/// zlib takes its input without const, but only reads it.
Bytef* ZlibInput(std::span<const std::byte> in) {
  return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(in.data()));
}
Bytef* ZlibOutput(std::span<std::byte> out) { return reinterpret_cast<Bytef*>(out.data()); }

const unsigned char* LzoInput(std::span<const std::byte> in) {
  return reinterpret_cast<const unsigned char*>(in.data());
}
unsigned char* LzoOutput(std::span<std::byte> out) {
  return reinterpret_cast<unsigned char*>(out.data());
}

const char* SnappyInput(std::span<const std::byte> in) {
  return reinterpret_cast<const char*>(in.data());
}
char* SnappyOutput(std::span<std::byte> out) { return reinterpret_cast<char*>(out.data()); }

/// Where in and out are handed over, a page of each: a zlib stream counts in 32 bits.
template <typename Stream>
void SetBuffers(Stream& stream, std::span<const std::byte> in, std::span<std::byte> out) {
  stream.next_in = ZlibInput(in);
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = ZlibOutput(out);
  stream.avail_out = static_cast<uInt>(out.size());
}

}  // namespace

std::string_view PageCodecName(PageCodec codec) {
  static constexpr std::array<std::string_view, 4> kNames = {"zlib", "lzo", "snappy", "zstd"};
  return kNames.at(static_cast<size_t>(codec));
}

struct PageDecompressor::State {
  z_stream inflater{};
  bool inflater_ready = false;
  ZSTD_DCtx* zstd = ZSTD_createDCtx();

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (inflater_ready) inflateEnd(&inflater);
    ZSTD_freeDCtx(zstd);
  }
  Status Inflate(std::span<const std::byte> in, std::span<std::byte> out);
};

Status PageDecompressor::State::Inflate(std::span<const std::byte> in, std::span<std::byte> out) {
  if (inflateReset(&inflater) != Z_OK) return NoMemory();
  SetBuffers(inflater, in, out);
  const int code = inflate(&inflater, Z_FINISH);
  if (code == Z_STREAM_END && inflater.avail_out == 0) return {};
  if (code == Z_STREAM_END || inflater.avail_out == 0) return WrongLength(PageCodec::kZlib);
  return Damaged(PageCodec::kZlib, inflater.msg != nullptr ? inflater.msg : "it is cut off");
}

PageDecompressor::PageDecompressor(std::unique_ptr<State> state) : state_(std::move(state)) {}
PageDecompressor::PageDecompressor(PageDecompressor&&) noexcept = default;
PageDecompressor::~PageDecompressor() = default;

Result<PageDecompressor> PageDecompressor::Create() {
  auto state = std::make_unique<State>();
  state->inflater_ready = inflateInit(&state->inflater) == Z_OK;
  if (!state->inflater_ready || state->zstd == nullptr || !LzoWorks()) return NoMemory();
  return PageDecompressor(std::move(state));
}

Status PageDecompressor::Decompress(PageCodec codec, std::span<const std::byte> in,
                                    std::span<std::byte> out) {
  switch (codec) {
    case PageCodec::kZlib:
      return state_->Inflate(in, out);
    case PageCodec::kLzo: {
      lzo_uint bytes = out.size();
      const int code =
          lzo1x_decompress_safe(LzoInput(in), in.size(), LzoOutput(out), &bytes, nullptr);
      if (code == LZO_E_OUTPUT_OVERRUN) return WrongLength(codec);
      if (code != LZO_E_OK) return Damaged(codec, "error " + std::to_string(code));
      if (bytes != out.size()) return WrongLength(codec);
      return {};
    }
    case PageCodec::kSnappy: {
      // Asked for first: snappy refuses an output that is too short, but says only "too short".
      if (SnappyContentBytes(in) != out.size()) return WrongLength(codec);
      size_t bytes = out.size();
      if (snappy_uncompress(SnappyInput(in), in.size(), SnappyOutput(out), &bytes) != SNAPPY_OK) {
        return Damaged(codec, "it is no snappy block");
      }
      return {};
    }
    case PageCodec::kZstd: {
      const size_t bytes =
          ZSTD_decompressDCtx(state_->zstd, out.data(), out.size(), in.data(), in.size());
      if (ZSTD_isError(bytes) != 0) return Damaged(codec, ZSTD_getErrorName(bytes));
      if (bytes != out.size()) return WrongLength(codec);
      return {};
    }
  }
  return MakeError(ErrorCode::kUnsupported, "an unknown page codec");
}

struct PageCompressor::State {
  PageCodec codec = PageCodec::kZlib;
  int level = 0;
  z_stream deflater{};
  bool deflater_ready = false;
  ZSTD_CCtx* zstd = nullptr;
  std::vector<unsigned char> lzo_memory;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (deflater_ready) deflateEnd(&deflater);
    ZSTD_freeCCtx(zstd);
  }
  [[nodiscard]] bool Prepare();
  Result<size_t> Deflate(std::span<const std::byte> in, std::span<std::byte> out);
};

bool PageCompressor::State::Prepare() {
  switch (codec) {
    case PageCodec::kZlib:
      deflater_ready = deflateInit(&deflater, level) == Z_OK;
      return deflater_ready;
    case PageCodec::kLzo:
      lzo_memory.resize(LZO1X_1_MEM_COMPRESS);
      return LzoWorks();
    case PageCodec::kSnappy:
      return true;
    case PageCodec::kZstd:
      zstd = ZSTD_createCCtx();
      return zstd != nullptr;
  }
  return false;
}

Result<size_t> PageCompressor::State::Deflate(std::span<const std::byte> in,
                                              std::span<std::byte> out) {
  if (deflateReset(&deflater) != Z_OK) return NoMemory();
  SetBuffers(deflater, in, out);
  if (deflate(&deflater, Z_FINISH) == Z_STREAM_END) return out.size() - deflater.avail_out;
  return MakeError(ErrorCode::kInvalidArgument, "zlib: the output is too short");
}

PageCompressor::PageCompressor(std::unique_ptr<State> state) : state_(std::move(state)) {}
PageCompressor::PageCompressor(PageCompressor&&) noexcept = default;
PageCompressor::~PageCompressor() = default;

Result<PageCompressor> PageCompressor::Create(PageCodec codec, int level) {
  auto state = std::make_unique<State>();
  state->codec = codec;
  state->level = level;
  if (state->Prepare()) return PageCompressor(std::move(state));
  return MakeError(
      ErrorCode::kInvalidArgument,
      "no " + std::string(PageCodecName(codec)) + " compressor of level " + std::to_string(level));
}

Result<size_t> PageCompressor::Compress(std::span<const std::byte> in, std::span<std::byte> out) {
  if (out.size() < CompressedPageBound(state_->codec, in.size())) {
    return MakeError(ErrorCode::kInvalidArgument, "the output of a page codec is too short");
  }
  switch (state_->codec) {
    case PageCodec::kZlib:
      return state_->Deflate(in, out);
    case PageCodec::kLzo: {
      lzo_uint bytes = out.size();
      lzo1x_1_compress(LzoInput(in), in.size(), LzoOutput(out), &bytes, state_->lzo_memory.data());
      return static_cast<size_t>(bytes);
    }
    case PageCodec::kSnappy: {
      size_t bytes = out.size();
      if (snappy_compress(SnappyInput(in), in.size(), SnappyOutput(out), &bytes) == SNAPPY_OK) {
        return bytes;
      }
      break;
    }
    case PageCodec::kZstd: {
      const size_t bytes = ZSTD_compressCCtx(state_->zstd, out.data(), out.size(), in.data(),
                                             in.size(), state_->level);
      if (ZSTD_isError(bytes) == 0) return bytes;
      break;
    }
  }
  return MakeError(ErrorCode::kIo, std::string(PageCodecName(state_->codec)) + " cannot compress");
}

size_t CompressedPageBound(PageCodec codec, size_t content_bytes) {
  switch (codec) {
    case PageCodec::kZlib:
      return compressBound(static_cast<uLong>(content_bytes));
    case PageCodec::kLzo:
      // lzo2's FAQ: input / 16 + 64 + 3 more than the input.
      return content_bytes + content_bytes / 16 + 64 + 3;
    case PageCodec::kSnappy:
      return snappy_max_compressed_length(content_bytes);
    case PageCodec::kZstd:
      return ZSTD_compressBound(content_bytes);
  }
  return 0;
}

std::optional<size_t> SnappyContentBytes(std::span<const std::byte> block) {
  size_t bytes = 0;
  if (snappy_uncompressed_length(SnappyInput(block), block.size(), &bytes) != SNAPPY_OK) {
    return std::nullopt;
  }
  return bytes;
}

}  // namespace kcoredump
