// SPDX-License-Identifier: MIT
#include "format/codec_page.h"

#include <gtest/gtest.h>

#include <array>

#include "support/kdump_builder.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kPage;

constexpr std::array kCodecs = {PageCodec::kZlib, PageCodec::kLzo, PageCodec::kSnappy,
                                PageCodec::kZstd};

class PageCodecTest : public ::testing::TestWithParam<PageCodec> {
 protected:
  Status Unpack(std::span<const std::byte> in, std::span<std::byte> out) {
    return decompressor_.value().Decompress(GetParam(), in, out);
  }

  Result<PageDecompressor> decompressor_ = PageDecompressor::Create();
};

TEST_P(PageCodecTest, WhatIsPackedIsUnpacked) {
  for (const size_t size : {size_t{1}, kPage, size_t{65536}}) {
    for (const Bytes& content :
         {test::MemoryBytes(0, size), test::RandomBytes(size, size), Bytes(size)}) {
      Bytes out(size, std::byte{0xee});
      ASSERT_TRUE(Unpack(test::Packed(GetParam(), content), out).ok()) << size;
      EXPECT_EQ(out, content) << size;
    }
  }
}

TEST_P(PageCodecTest, AnotherLengthIsDamageAndNothingIsWrittenBeyondTheOutput) {
  for (const size_t content : {kPage - 1, kPage + 1, size_t{1}, 16 * kPage}) {
    const Bytes packed = test::Packed(GetParam(), test::MemoryBytes(0, content));
    Bytes out(2 * kPage, std::byte{0xee});
    const Status status = Unpack(packed, std::span(out).first(kPage));
    ASSERT_FALSE(status.ok()) << content;
    EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(Bytes(out.begin() + kPage, out.end()), Bytes(kPage, std::byte{0xee})) << content;
  }
}

/// A gigabyte of zeros packed into a few kilobytes, in a page's place.
TEST_P(PageCodecTest, ABombCostsNoMoreThanAPage) {
  const Bytes bomb = test::Packed(GetParam(), Bytes(64 << 20));
  Bytes out(kPage);
  EXPECT_FALSE(Unpack(bomb, out).ok());
}

TEST_P(PageCodecTest, CutOffAtEveryLength) {
  const Bytes content = test::MemoryBytes(0, kPage);
  const Bytes packed = test::Packed(GetParam(), content);
  for (size_t size = 0; size < packed.size(); ++size) {
    Bytes out(kPage);
    EXPECT_FALSE(Unpack(std::span(packed).first(size), out).ok()) << size;
  }
}

TEST_P(PageCodecTest, EveryByteFlippedIsAnErrorOrAPage) {
  Bytes packed = test::Packed(GetParam(), test::MemoryBytes(0, kPage));
  for (size_t at = 0; at < packed.size(); ++at) {
    packed[at] ^= std::byte{0xff};
    Bytes out(kPage);
    (void)Unpack(packed, out);
    packed[at] ^= std::byte{0xff};
  }
}

TEST_P(PageCodecTest, OnlyAsMuchOutputAsIsPromisedIsNeeded) {
  auto compressor = PageCompressor::Create(GetParam(), 1);
  ASSERT_TRUE(compressor.ok());
  Bytes out(CompressedPageBound(GetParam(), kPage));
  const Bytes noise = test::RandomBytes(kPage, 3);
  EXPECT_TRUE(compressor.value().Compress(noise, out).ok());
  EXPECT_FALSE(compressor.value().Compress(noise, std::span(out).first(out.size() - 1)).ok());
}

INSTANTIATE_TEST_SUITE_P(All, PageCodecTest, ::testing::ValuesIn(kCodecs),
                         [](const auto& codec) { return std::string(PageCodecName(codec.param)); });

TEST(PageCompressor, ALevelThatDoesNotExist) {
  EXPECT_FALSE(PageCompressor::Create(PageCodec::kZlib, 42).ok());
}

TEST(SnappyContentBytes, ReadsTheLengthFromTheFirstBytes) {
  const Bytes packed = test::Packed(PageCodec::kSnappy, Bytes(65536));
  EXPECT_EQ(SnappyContentBytes(std::span(packed).first(5)), 65536U);
  EXPECT_EQ(SnappyContentBytes({}), std::nullopt);
  EXPECT_EQ(SnappyContentBytes(Bytes(5, std::byte{0xff})), std::nullopt);
}

}  // namespace
}  // namespace kcoredump
