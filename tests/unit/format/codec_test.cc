// SPDX-License-Identifier: MIT
#include "format/codec.h"

#include <gtest/gtest.h>

#include "support/raw_snapshot.h"

namespace kcoredump {
namespace {

using test::Bytes;

TEST(Codec, WhatIsPackedIsUnpacked) {
  for (const int level : {MinCompressionLevel(), 1, 3}) {
    auto compressor = FrameCompressor::Create(level);
    auto decompressor = FrameDecompressor::Create();
    ASSERT_TRUE(compressor.ok() && decompressor.ok());
    for (const size_t size : {size_t{1}, size_t{4096}, size_t{100'001}}) {
      const Bytes in = test::RandomBytes(size, size);
      Bytes frame(CompressedBound(size));
      const auto length = compressor.value().Compress(in, frame);
      ASSERT_TRUE(length.ok());
      Bytes out(size);
      EXPECT_TRUE(
          decompressor.value().Decompress(std::span(frame).first(length.value()), out).ok());
      EXPECT_EQ(out, in);
    }
  }
}

TEST(Codec, FramesSayTheirSizeAndCarryAChecksum) {
  const Bytes content = test::RandomBytes(5000, 1);
  const Bytes frame = test::CompressedFrame(content);
  const auto header = ParseFrameHeader(frame);
  ASSERT_TRUE(header.ok());
  EXPECT_FALSE(header.value().skippable);
  EXPECT_EQ(header.value().content_bytes, 5000U);
  EXPECT_TRUE(header.value().has_checksum);
  EXPECT_EQ(StoredChecksum(frame), static_cast<uint32_t>(Hash64(content)));
  EXPECT_EQ(FrameLength(frame), frame.size());
}

TEST(Codec, FrameLengthEndsWhereTheFrameDoes) {
  Bytes frame = test::CompressedFrame(Bytes(5000));
  const size_t length = frame.size();
  frame.resize(length + 100, std::byte{0x5a});
  EXPECT_EQ(FrameLength(frame), length);
  for (size_t size = 0; size < length; ++size) {
    EXPECT_EQ(FrameLength(std::span(frame).first(size)), std::nullopt) << size;
  }
}

TEST(Codec, SkippableFramesAreTold) {
  const auto raw = EncodeSkippableHeader(kTrailerFrameMagic, 77);
  const auto header = ParseFrameHeader(raw);
  ASSERT_TRUE(header.ok());
  EXPECT_TRUE(header.value().skippable);
  EXPECT_EQ(header.value().skippable_magic, kTrailerFrameMagic);
  EXPECT_EQ(header.value().skippable_bytes, 77U);
}

TEST(Codec, AnythingElseIsCorrupt) {
  EXPECT_FALSE(ParseFrameHeader({}).ok());
  EXPECT_FALSE(ParseFrameHeader(test::ToBytes("ELF and so on, at length")).ok());
  const Bytes frame = test::CompressedFrame(Bytes(5000));
  EXPECT_FALSE(ParseFrameHeader(std::span(frame).first(5)).ok());
}

TEST(Codec, AFrameOfAnotherSizeThanAskedIsCorrupt) {
  auto decompressor = FrameDecompressor::Create();
  const Bytes frame = test::CompressedFrame(Bytes(5000));
  for (const size_t size : {size_t{4999}, size_t{5001}, size_t{0}}) {
    Bytes out(size);
    EXPECT_FALSE(decompressor.value().Decompress(frame, out).ok()) << size;
  }
}

TEST(Codec, LevelsCoverTheUsualRange) {
  EXPECT_LE(MinCompressionLevel(), 1);
  EXPECT_GE(MaxCompressionLevel(), 19);
}

TEST(Codec, HashesAreXxh64) {
  EXPECT_EQ(Hash64({}), 0xEF46DB3751D8E999ULL);
  const Bytes bytes = test::RandomBytes(1000, 3);
  StreamHash64 stream;
  stream.Add(std::span(bytes).first(1));
  stream.Add(std::span(bytes).subspan(1, 500));
  stream.Add(std::span(bytes).subspan(501));
  EXPECT_EQ(stream.Digest(), Hash64(bytes));
}

}  // namespace
}  // namespace kcoredump
