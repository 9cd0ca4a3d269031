// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cstring>

#include "format/avml/chunk_index.h"
#include "format/avml/format.h"
#include "kcoredump/inspect.h"
#include "support/files.h"
#include "support/image_read.h"
#include "support/kdump_builder.h"
#include "support/lime_builder.h"
#include "support/one_thread.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::Joined;
using test::kPage;
using test::MemoryFile;

/// 8 pages, and 3 MiB and a bit: more chunks than one mark covers.
constexpr uint64_t kHighBegin = 0x100000;
constexpr uint64_t kHighEnd = 0x405000;
Bytes SmallAvml() {
  return Joined({test::AvmlBlock(0x1000, 0x9000), test::AvmlBlock(kHighBegin, kHighEnd)});
}

TEST(Avml, AnyAddressInAnyOrder) {
  const MemoryFile file(SmallAvml());
  auto memory = Memory::Open(file.path());
  ASSERT_TRUE(memory.ok());
  auto reader = memory.value().NewReader();
  test::Random random(3);
  for (int i = 0; i < 300; ++i) {
    const size_t bytes = 1 + random.Below(200'000);
    const uint64_t at = kHighBegin + random.Below(kHighEnd - kHighBegin - bytes);
    Bytes out(bytes);
    ASSERT_TRUE(reader.value().Read(PhysAddr{at}, out).ok());
    ASSERT_EQ(out, test::MemoryBytes(at, bytes)) << at;
  }
  EXPECT_EQ(test::ReadImage(file.path(), 0x1000, 0x8000).bytes, test::MemoryBytes(0x1000, 0x8000));
  EXPECT_EQ(test::ReadImage(file.path(), 0x9000, 16).report.counts.unreadable, 1U);
}

TEST(Avml, AllOfItAtOnce) {
  const MemoryFile file(SmallAvml());
  EXPECT_EQ(test::ReadImage(file.path(), kHighBegin, kHighEnd - kHighBegin).bytes,
            test::MemoryBytes(kHighBegin, kHighEnd - kHighBegin));
  const auto report = Verify(file.path(), test::OneThread());
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report.value().complete);
  EXPECT_EQ(report.value().pages.read(), 8 + (kHighEnd - kHighBegin) / kPage);
}

TEST(Avml, BlocksThatTouchAndStandInAnyOrder) {
  const MemoryFile file(Joined({test::AvmlBlock(0x20000, 0x40000), test::AvmlBlock(0x1000, 0x20000),
                                test::AvmlBlock(0x40000, 0x45000)}));
  EXPECT_EQ(test::ReadImage(file.path(), 0x1000, 0x44000).bytes,
            test::MemoryBytes(0x1000, 0x44000));
  EXPECT_EQ(test::OpenImage(file.path())->map().RamRanges(),
            (std::vector<Range>{{0x1000, 0x45000}}));
}

TEST(Avml, ChunksOfAnySize) {
  for (const size_t chunk : {size_t{1000}, size_t{4096}, size_t{65535}}) {
    const MemoryFile file(test::AvmlBlock(0x1000, 0x41000, chunk));
    EXPECT_EQ(test::ReadImage(file.path(), 0x1000, 0x40000).bytes,
              test::MemoryBytes(0x1000, 0x40000));
    EXPECT_EQ(test::ReadImage(file.path(), 0x3f123, 5).bytes, test::MemoryBytes(0x3f123, 5));
    // One cached block holds what it says, whatever the chunks are.
    const auto source = test::OpenImage(file.path());
    for (uint64_t at = 0x1000; at < 0x41000; at += kPage) {
      const Range block = source->BlockAround(PhysAddr{at});
      ASSERT_TRUE(block.Contains(at) && block.begin % kPage == 0 && block.end % kPage == 0) << at;
      EXPECT_EQ(source->BlockAround(PhysAddr{block.begin}), block) << at;
      EXPECT_EQ(source->BlockAround(PhysAddr{block.end - 1}), block) << at;
    }
  }
}

TEST(Avml, ABlockIsAChunk) {
  const MemoryFile file(test::AvmlBlock(0x1000, 0x201000));
  const auto source = test::OpenImage(file.path());
  EXPECT_EQ(source->BlockAround(PhysAddr{0x12345}), (Range{0x11000, 0x21000}));
  EXPECT_EQ(source->BlockAround(PhysAddr{0x200fff}), (Range{0x1f1000, 0x201000}));
}

TEST(Avml, UncompressedPaddingAndUnknownSkippableChunks) {
  const Bytes first = test::RandomBytes(65536, 1);
  const Bytes second = test::MemoryBytes(0, kPage);
  const Bytes stream =
      Joined({test::StreamIdChunk(), test::SnappyChunk(0xfe, {}, Bytes(100)),
              test::SnappyChunk(1, first, first), test::SnappyChunk(0x80, {}, Bytes(7)),
              test::StreamIdChunk(), test::CompressedChunk({}), test::CompressedChunk(second)});
  const MemoryFile file(test::AvmlBlockOf(0x10000, 0x21000, stream));
  EXPECT_EQ(test::ReadImage(file.path(), 0x10000, 0x11000).bytes, Joined({first, second}));
  EXPECT_EQ(test::OpenImage(file.path())->IncompleteReason(), "");
}

TEST(Avml, DescribeNamesTheFormat) {
  const MemoryFile file(SmallAvml());
  const auto info = Describe(file.path());
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info.value().format, "avml");
  EXPECT_NE(ToText(info.value()).find("version 2, snappy"), std::string::npos);
  ASSERT_EQ(info.value().caveats.size(), 1U);
  EXPECT_NE(info.value().caveats[0].find("all zero"), std::string::npos);
}

TEST(Avml, EncodesWhatItDecodes) {
  const SnappyChunkHeader header{.type = 0x00, .bytes = 0x123456};
  EXPECT_EQ(DecodeSnappyChunkHeader(EncodeSnappyChunkHeader(header)).bytes, 0x123456U);
  const Bytes content = test::RandomBytes(100, 1);
  const Bytes chunk = test::SnappyChunk(1, content, content);
  uint32_t checksum = 0;
  std::memcpy(&checksum, chunk.data() + 4, sizeof(checksum));
  EXPECT_EQ(SnappyChecksum(content), checksum);
  const auto encoded = EncodeSnappyChunkHeader({.type = 1, .bytes = 104});
  EXPECT_TRUE(std::equal(encoded.begin(), encoded.end(), chunk.begin()));
  EXPECT_EQ(test::ToText(std::as_bytes(std::span(kSnappyStreamIdChunk))),
            test::ToText(test::StreamIdChunk()));
}

TEST(AvmlDamage, CutOffAtManyLengths) {
  const Bytes bytes = Joined({test::AvmlBlock(0x1000, 0x9000), test::AvmlBlock(0x20000, 0x60000)});
  const size_t first = test::AvmlBlock(0x1000, 0x9000).size();
  MemoryFile file;
  for (size_t size = 0; size < bytes.size(); size += size < 700 ? 1 : 97) {
    file.Set(std::span(bytes).first(size));
    const auto source = OpenSource(file.path());
    ASSERT_EQ(source.ok(), size >= 32) << size;
    if (!source.ok()) continue;
    EXPECT_EQ(source.value()->IncompleteReason().empty(), size == first) << size;
    const auto back = test::ReadImage(file.path(), 0x1000, 0x8000);
    EXPECT_EQ(back.report.counts.direct + back.report.counts.not_reached, 8U) << size;
    for (uint64_t at = 0x1000; at < 0x9000; at += kPage) {
      if (IsHole(back.OutcomeAt(at))) continue;
      const auto page = std::span(back.bytes).subspan(at - 0x1000, kPage);
      ASSERT_EQ(Bytes(page.begin(), page.end()), test::MemoryBytes(at, kPage)) << size;
    }
    const auto report = Verify(file.path(), test::OneThread());
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(report.value().complete, size == first) << size;
    EXPECT_TRUE(report.value().damage.empty()) << size << "\n" << report.value().damage[0];
  }
}

/// The checksum is over the content: no flipped byte of a chunk gives another page.
TEST(AvmlDamage, EveryByteFlippedIsFound) {
  const Bytes bytes = test::AvmlBlock(0x1000, 0x9000);
  MemoryFile file;
  for (size_t at = 0; at < bytes.size(); ++at) {
    Bytes changed = bytes;
    changed[at] ^= std::byte{0xff};
    file.Set(changed);
    (void)Describe(file.path());
    const auto report = Verify(file.path(), test::OneThread());
    if (at >= 24 && at < 32) continue;  // reserved
    ASSERT_FALSE(report.ok() && report.value().complete) << at;
    if (at < 8 || !report.ok() || (at >= 8 && at < 24)) continue;
    const auto back = test::ReadImage(file.path(), 0x1000, 0x8000);
    for (uint64_t page = 0x1000; page < 0x9000; page += kPage) {
      if (IsHole(back.OutcomeAt(page))) continue;
      const auto got = std::span(back.bytes).subspan(page - 0x1000, kPage);
      ASSERT_EQ(Bytes(got.begin(), got.end()), test::MemoryBytes(page, kPage)) << at;
    }
  }
}

/// Why the only block of a file with that stream is not complete.
std::string ReasonOf(const Bytes& stream) {
  const MemoryFile file(test::AvmlBlockOf(0x10000, 0x20000, stream));
  (void)Verify(file.path(), test::OneThread());
  return test::OpenImage(file.path())->IncompleteReason();
}

TEST(AvmlDamage, ChunksThatLie) {
  const Bytes id = test::StreamIdChunk();
  const Bytes content = test::MemoryBytes(0, 65536);
  const Bytes good = test::CompressedChunk(content);
  EXPECT_EQ(ReasonOf(Joined({id, good})), "");
  EXPECT_NE(ReasonOf(good).find("begin"), std::string::npos);
  EXPECT_NE(ReasonOf(Joined({id, good, good})), "");  // the length after the range's last byte
  EXPECT_NE(ReasonOf(Joined({id, test::CompressedChunk(test::MemoryBytes(0, 65535)),
                             test::CompressedChunk(test::MemoryBytes(0, 2))}))
                .find("more than its range"),
            std::string::npos);
  EXPECT_NE(ReasonOf(Joined({id, test::SnappyChunk(2, content, Bytes(10))})).find("unknown kind"),
            std::string::npos);
  EXPECT_NE(ReasonOf(Joined({id, test::SnappyChunk(0, {}, {})})), "");
  Bytes tiny = id;
  for (const int byte : {0x01, 0x02, 0x00, 0x00, 0x41, 0x41}) tiny.push_back(std::byte(byte));
  EXPECT_NE(ReasonOf(tiny).find("without a checksum"), std::string::npos);
}

TEST(AvmlDamage, ABombInAChunksPlace) {
  const Bytes bomb = test::Packed(PageCodec::kSnappy, Bytes(1 << 20));
  EXPECT_NE(ReasonOf(Joined({test::StreamIdChunk(), test::SnappyChunk(0, {}, bomb)})), "");
  // Says 64 KiB, and unpacks to more.
  Bytes liar = test::Packed(PageCodec::kSnappy, Bytes(70'000));
  ASSERT_EQ(liar[0], std::byte{0xf0});  // 70,000 as a varint: f0 a2 04
  liar[0] = std::byte{0x80};
  liar[1] = std::byte{0x80};
  const MemoryFile file(test::AvmlBlockOf(
      0x10000, 0x20000, Joined({test::StreamIdChunk(), test::SnappyChunk(0, {}, liar)})));
  const auto back = test::ReadImage(file.path(), 0x10000, kPage);
  ASSERT_NE(back.report.FirstHole(), nullptr);
  EXPECT_EQ(back.report.FirstHole()->system_errno, EBADMSG);
}

TEST(AvmlDamage, AWrongLengthAfterTheStream) {
  Bytes bytes = test::AvmlBlock(0x1000, 0x9000);
  bytes[bytes.size() - 8] ^= std::byte{1};
  const MemoryFile file(bytes);
  EXPECT_NE(test::OpenImage(file.path())->IncompleteReason().find("its length"), std::string::npos);
  EXPECT_EQ(test::ReadImage(file.path(), 0x1000, 64).bytes, test::MemoryBytes(0x1000, 64));
}

TEST(AvmlDamage, BlocksThatOverlap) {
  const MemoryFile file(Joined({test::AvmlBlock(0x1000, 0x9000), test::AvmlBlock(0x8000, 0xa000)}));
  EXPECT_NE(test::OpenError(file.path()).find("the same memory"), std::string::npos);
}

TEST(AvmlDamage, ARangeOfMoreThanThereIs) {
  Bytes stream = test::StreamIdChunk();
  const Bytes chunk = test::CompressedChunk(test::MemoryBytes(0x1000, 65536));
  stream.insert(stream.end(), chunk.begin(), chunk.end());
  Bytes bytes = test::RangeHeader(test::kAvmlMagicNumber, 2, 0x1000, uint64_t{1} << 60);
  bytes.insert(bytes.end(), stream.begin(), stream.end());
  const MemoryFile file(bytes);
  const auto report = Verify(file.path(), test::OneThread());
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report.value().pages.read(), 16U);
  EXPECT_NE(test::OpenImage(file.path())->IncompleteReason(), "");
}

TEST(AvmlDamage, OldVersionsAndRangesOfNothing) {
  Bytes bytes = test::AvmlBlock(0x1000, 0x9000);
  bytes[4] = std::byte{3};
  EXPECT_NE(test::OpenError(MemoryFile(bytes).path()).find("no AVML header of version 2"),
            std::string::npos);
  const Bytes nothing = test::RangeHeader(test::kAvmlMagicNumber, 2, 0x2000, 0x1fff);
  EXPECT_NE(test::OpenError(MemoryFile(nothing).path()).find("makes no sense"), std::string::npos);
}

}  // namespace
}  // namespace kcoredump
