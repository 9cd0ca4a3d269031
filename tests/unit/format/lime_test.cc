// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "format/lime/format.h"
#include "kcoredump/inspect.h"
#include "support/elf_builder.h"
#include "support/files.h"
#include "support/image_read.h"
#include "support/lime_builder.h"
#include "support/one_thread.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::Joined;
using test::kPage;
using test::MemoryFile;

Bytes SmallLime() {
  return Joined({test::LimeRange(0x1000, 0x9000), test::LimeRange(0x100000, 0x110000)});
}

TEST(Lime, RangesWithInclusiveEnds) {
  const MemoryFile file(SmallLime());
  EXPECT_EQ(test::ReadImage(file.path(), 0x1000, 0x8000).bytes, test::MemoryBytes(0x1000, 0x8000));
  EXPECT_EQ(test::ReadImage(file.path(), 0x10fff0, 16).bytes, test::MemoryBytes(0x10fff0, 16));
  EXPECT_EQ(test::ReadImage(file.path(), 0x110000, 16).report.counts.unreadable, 1U);
  const auto source = test::OpenImage(file.path());
  EXPECT_EQ(source->map().RamRanges(),
            (std::vector<Range>{{0x1000, 0x9000}, {0x100000, 0x110000}}));
  EXPECT_EQ(source->IncompleteReason(), "");
  EXPECT_EQ(source->Counts().value().direct, 24U);
  EXPECT_TRUE(Verify(file.path(), test::OneThread()).value().complete);
}

TEST(Lime, InAnyOrder) {
  const MemoryFile file(
      Joined({test::LimeRange(0x100000, 0x110000), test::LimeRange(0x1000, 0x9000)}));
  EXPECT_EQ(test::ReadImage(file.path(), 0x8000, 16).bytes, test::MemoryBytes(0x8000, 16));
}

/// The kernel does not use parts of pages, and LiME fills them with zeros.
TEST(Lime, PartsOfPagesAtTheEndsAreLeftOut) {
  const MemoryFile file(test::LimeRange(0x800, 0x9fc00));
  EXPECT_EQ(test::OpenImage(file.path())->map().RamRanges(),
            (std::vector<Range>{{0x1000, 0x9f000}}));
  EXPECT_EQ(test::ReadImage(file.path(), 0x1000, 64).bytes, test::MemoryBytes(0x1000, 64));
}

TEST(Lime, DescribeNamesTheFormat) {
  const MemoryFile file(SmallLime());
  const auto info = Describe(file.path());
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info.value().format, "lime");
  EXPECT_EQ(info.value().format_version, 1U);
  EXPECT_EQ(info.value().architecture, "unknown");
  const std::string text = ToText(info.value());
  EXPECT_NE(text.find("version 1, not compressed"), std::string::npos) << text;
}

TEST(Lime, EncodesWhatItDecodes) {
  const MemoryRangeHeader header = MakeRangeHeader(kLimeMagic, kLimeVersion, {0x1000, 0x9000});
  const auto raw = std::as_bytes(std::span(&header, 1));
  EXPECT_EQ(Bytes(raw.begin(), raw.end()),
            test::RangeHeader(test::kLimeMagicNumber, 1, 0x1000, 0x8fff));
  EXPECT_EQ(header.PhysRange().value(), (Range{0x1000, 0x9000}));
}

TEST(LimeDamage, CutOffAtEveryLengthOfItsHeadersAndManyMore) {
  const Bytes bytes = SmallLime();
  MemoryFile file;
  for (size_t size = 0; size < bytes.size(); size += size % 0x8020 < 64 ? 1 : 501) {
    file.Set(std::span(bytes).first(size));
    const auto source = OpenSource(file.path());
    ASSERT_EQ(source.ok(), size >= 32) << size;
    if (!source.ok()) continue;
    // Without its second header the first range is all there is to know of.
    EXPECT_EQ(source.value()->IncompleteReason().empty(), size == 0x8020) << size;
    const auto back = test::ReadImage(file.path(), 0x1000, 0x8000);
    const size_t there = std::min<size_t>(size - 32, 0x8000) / kPage;
    EXPECT_EQ(back.report.counts.direct, there) << size;
    EXPECT_EQ(back.report.counts.not_reached + back.report.counts.unreadable, 8 - there) << size;
    (void)Verify(file.path(), test::OneThread());
    (void)Describe(file.path());
  }
}

TEST(LimeDamage, EveryHeaderByteFlipped) {
  MemoryFile file;
  for (const size_t header : {size_t{0}, size_t{0x8020}}) {
    for (size_t at = header; at < header + 32; ++at) {
      for (const int mask : {0xff, 0x01, 0x80}) {
        Bytes bytes = SmallLime();
        bytes[at] ^= static_cast<std::byte>(mask);
        file.Set(bytes);
        (void)Describe(file.path());
        (void)Verify(file.path(), test::OneThread());
        const auto source = OpenSource(file.path());
        if (source.ok()) (void)test::ReadImage(file.path(), 0, 0x20000);
      }
    }
  }
}

TEST(LimeDamage, RangesThatMakeNoSense) {
  const auto error = [](uint64_t first, uint64_t last) {
    Bytes bytes = test::RangeHeader(test::kLimeMagicNumber, 1, first, last);
    bytes.resize(8192);
    return test::OpenError(MemoryFile(bytes).path());
  };
  EXPECT_NE(error(0x2000, 0x1000).find("makes no sense"), std::string::npos);
  EXPECT_NE(error(0, ~uint64_t{0}).find("makes no sense"), std::string::npos);
  EXPECT_NE(error(~uint64_t{0} - 0x1000, ~uint64_t{0} - 1), "");
  EXPECT_NE(error(0x1000, 0x1000).find("not one whole page"), std::string::npos);
  // Of much more memory than there is file: what is there is read, in no time.
  Bytes bytes = test::RangeHeader(test::kLimeMagicNumber, 1, 0, uint64_t{1} << 60);
  bytes.resize(32 + 2 * kPage);
  const MemoryFile file(bytes);
  EXPECT_NE(test::OpenImage(file.path())->IncompleteReason(), "");
  EXPECT_EQ(Verify(file.path(), test::OneThread()).value().pages.read(), 2U);
}

TEST(LimeDamage, RangesThatOverlap) {
  const MemoryFile file(Joined({test::LimeRange(0x1000, 0x9000), test::LimeRange(0x8000, 0xa000)}));
  EXPECT_NE(test::OpenError(file.path()).find("two ranges claim"), std::string::npos);
}

TEST(LimeDamage, SomethingElseAfterGoodRanges) {
  const MemoryFile file(Joined({SmallLime(), test::RandomBytes(100, 1)}));
  const auto source = test::OpenImage(file.path());
  EXPECT_NE(source->IncompleteReason().find("damaged"), std::string::npos);
  EXPECT_EQ(source->Counts().value().direct, 24U);
}

TEST(LimeDamage, AVersionThatDoesNotExist) {
  Bytes bytes = SmallLime();
  bytes[4] = std::byte{2};
  EXPECT_NE(test::OpenError(MemoryFile(bytes).path()).find("version 2"), std::string::npos);
}

}  // namespace
}  // namespace kcoredump
