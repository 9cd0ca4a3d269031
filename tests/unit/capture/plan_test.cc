// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "capture/capture_plan.h"
#include "format/snapshot/format.h"
#include "support/fake_source.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kPage;

/// The image that the plan describes, memory as zeros.
Bytes Image(const CapturePlan& plan) {
  Bytes image;
  for (uint64_t i = 0; i < plan.batches(); ++i) {
    const Batch batch = plan.At(i);
    if (batch.is_memory) {
      image.resize(image.size() + batch.bytes);
    } else {
      EXPECT_EQ(batch.literal.size(), batch.bytes);
      image.insert(image.end(), batch.literal.begin(), batch.literal.end());
    }
  }
  return image;
}

CapturePlan Plan(const MemorySource& source, const Bytes& vendor, uint32_t frame_bytes = 16384,
                 uint64_t batch_bytes = 65536) {
  auto plan = CapturePlan::Make(source, ImageShape::kElf, vendor, frame_bytes);
  EXPECT_TRUE(plan.ok());
  plan.value().CutIntoBatches(batch_bytes);
  return std::move(plan.value());
}

class PlanTest : public ::testing::Test {
 protected:
  test::FakeSource source_{test::SmallCore().Build()};
  Bytes vendor_ = test::NoteBytes("KCOREDUMP", 1, "{}");
};

TEST_F(PlanTest, HeadersInTheOrderThatOtherToolsWereTriedWith) {
  const CapturePlan plan = Plan(source_, vendor_);
  const auto core = test::ParseElf(Image(plan));
  ASSERT_TRUE(core.ok()) << core.error().message;
  const auto& headers = core.value().headers;
  ASSERT_EQ(headers.size(), 5U);
  EXPECT_EQ(headers[0].type, uint32_t{PT_NOTE});
  EXPECT_EQ(headers[1].paddr, test::kLowRam);
  EXPECT_EQ(headers[2].paddr, test::kHighRam);
  EXPECT_EQ(headers[3].vaddr, test::kImageBase);
  EXPECT_EQ(headers[4].type, kVendorSegmentType);
  EXPECT_GE(headers[4].type, uint32_t{PT_LOOS});
  EXPECT_LE(headers[4].type, uint32_t{PT_HIOS});
  for (const ProgramHeader& header : headers) {
    EXPECT_EQ(header.align, 0U);  // crash takes any other value for netdump's
    EXPECT_LE(header.offset + header.filesz, plan.plain_bytes());
    EXPECT_EQ(header.flags, header.type == PT_LOAD ? 7U : 0U);
  }
}

TEST_F(PlanTest, TheImageAliasesTheBytesOfItsRam) {
  const auto core = test::ParseElf(Image(Plan(source_, vendor_)));
  const auto& headers = core.value().headers;
  EXPECT_EQ(headers[3].paddr, test::kImagePhys);
  EXPECT_EQ(headers[3].filesz, test::kImageBytes);
  EXPECT_EQ(headers[3].offset, headers[2].offset + (test::kImagePhys - test::kHighRam));
}

TEST_F(PlanTest, NotesAreTheSourcesOwnAndTheVendors) {
  const Bytes image = Image(Plan(source_, vendor_));
  const auto core = test::ParseElf(image);
  const auto bytes = [&](const ProgramHeader& header) {
    const auto begin = image.begin() + static_cast<ptrdiff_t>(header.offset);
    return Bytes(begin, begin + static_cast<ptrdiff_t>(header.filesz));
  };
  const auto notes = source_.notes().bytes();
  EXPECT_EQ(bytes(core.value().headers.front()), Bytes(notes.begin(), notes.end()));
  EXPECT_EQ(bytes(core.value().headers.back()), vendor_);
}

TEST_F(PlanTest, RamStartsAtAPageOfTheImage) {
  const auto core = test::ParseElf(Image(Plan(source_, vendor_)));
  EXPECT_EQ(core.value().headers[1].offset % kPage, 0U);
  EXPECT_EQ(core.value().headers[2].offset, core.value().headers[1].offset + test::kLowRamBytes);
}

TEST_F(PlanTest, BatchesCoverTheImageAndNeverStraddle) {
  for (const uint64_t batch_bytes : {16384ULL, 65536ULL, 1ULL << 20}) {
    const CapturePlan plan = Plan(source_, vendor_, 16384, batch_bytes);
    uint64_t bytes = 0;
    uint64_t frames = 0;
    uint64_t phys_end = 0;
    for (uint64_t i = 0; i < plan.batches(); ++i) {
      const Batch batch = plan.At(i);
      ASSERT_NE(batch.bytes, 0U);
      ASSERT_LE(batch.bytes, batch_bytes);
      bytes += batch.bytes;
      frames += (batch.bytes + 16383) / 16384;
      if (!batch.is_memory) continue;
      // Within one RAM segment: a frame that straddles two could not be read by address.
      ASSERT_EQ(source_.map().Find(batch.phys)->bytes >= batch.bytes, true);
      ASSERT_GE(batch.phys.value, phys_end);
      phys_end = batch.phys.value + batch.bytes;
    }
    EXPECT_EQ(bytes, plan.plain_bytes());
    EXPECT_EQ(frames, plan.frames());
    EXPECT_EQ(phys_end, test::kHighRam + test::kHighRamBytes);
    EXPECT_EQ(plan.memory_bytes(), test::kSmallCorePages * kPage);
  }
}

TEST_F(PlanTest, TellsWhatMemoryAPartOfTheImageHolds) {
  const CapturePlan plan = Plan(source_, vendor_);
  const auto core = test::ParseElf(Image(plan));
  const uint64_t low = core.value().headers[1].offset;
  EXPECT_EQ(plan.MemoryBytesIn(low), 0U);
  EXPECT_EQ(plan.PhysicalEnd(low), 0U);
  EXPECT_EQ(plan.MemoryBytesIn(low + kPage), kPage);
  EXPECT_EQ(plan.PhysicalEnd(low + kPage), test::kLowRam + kPage);
  EXPECT_EQ(plan.PhysicalEnd(low + test::kLowRamBytes), test::kLowRam + test::kLowRamBytes);
  EXPECT_EQ(plan.MemoryBytesIn(low + test::kLowRamBytes + kPage), test::kLowRamBytes + kPage);
  EXPECT_EQ(plan.PhysicalEnd(~uint64_t{0}), test::kHighRam + test::kHighRamBytes);
}

TEST(Plan, WithoutVendorNotesAndWithoutNotes) {
  const auto source = test::FlatSource(3);
  const CapturePlan plan = Plan(*source, {});
  const auto core = test::ParseElf(Image(plan));
  ASSERT_TRUE(core.ok());
  EXPECT_EQ(core.value().headers.size(), 3U);
  EXPECT_EQ(Image(plan).size(), plan.plain_bytes());
}

TEST(Plan, AnImagePartlyOutsideRamIsCutAndOneWhollyOutsideIsLeftOut) {
  test::ElfBuilder elf;
  elf.AddRaw(test::LoadHeader(0xffffffffa0000000, 0x900000, kPage));
  elf.AddRaw(test::LoadHeader(test::kImageBase, 0x103000, 4 * kPage));
  elf.AddRaw(test::LoadHeader(test::kDirectMap + 0x100000, 0x100000, 5 * kPage));
  const test::FakeSource source(elf.Build(), MemoryMap::Dialect::kKcore);
  const auto core = test::ParseElf(Image(Plan(source, {})));
  ASSERT_EQ(core.value().headers.size(), 4U);
  EXPECT_EQ(core.value().headers[2].vaddr, test::kImageBase);
  EXPECT_EQ(core.value().headers[2].filesz, 2 * kPage);
}

/// RAM in two pieces that touch, as /proc/iomem may list it, and an image across both.
TEST(Plan, AnImageAcrossTwoSegmentsOfRamIsListedWhole) {
  test::ElfBuilder elf;
  elf.AddRaw(test::LoadHeader(test::kImageBase, 0x102000, 4 * kPage));
  elf.AddRaw(test::LoadHeader(test::kDirectMap + 0x100000, 0x100000, 4 * kPage));
  elf.AddRaw(test::LoadHeader(test::kDirectMap + 0x104000, 0x104000, 4 * kPage));
  const test::FakeSource source(elf.Build(), MemoryMap::Dialect::kKcore);
  const auto core = test::ParseElf(Image(Plan(source, {})));
  ASSERT_TRUE(core.ok()) << core.error().message;
  const auto& headers = core.value().headers;
  ASSERT_EQ(headers.size(), 6U);
  for (size_t part = 0; part < 2; ++part) {
    const ProgramHeader& ram = headers[1 + part];
    const ProgramHeader& alias = headers[3 + part];
    EXPECT_EQ(alias.vaddr, test::kImageBase + part * 2 * kPage);
    EXPECT_EQ(alias.paddr, 0x102000 + part * 2 * kPage);
    EXPECT_EQ(alias.filesz, 2 * kPage);
    EXPECT_EQ(alias.offset, ram.offset + (alias.paddr - ram.paddr));
  }
}

/// Each of many images over each of many pieces of RAM would be billions of headers.
TEST(Plan, ForgedImagesOverManySegmentsAreALimit) {
  test::ElfBuilder elf;
  for (uint64_t i = 0; i < 1000; ++i) {
    elf.AddRaw(test::LoadHeader(test::kImageBase + i * kPage, 0, 1000 * kPage));
  }
  for (uint64_t i = 0; i < 1000; ++i) {
    elf.AddRaw(test::LoadHeader(test::kDirectMap + i * kPage, i * kPage, kPage));
  }
  elf.AddRaw(test::LoadHeader(test::kDirectMap + 0x100000000, 0x100000000, 2000000 * kPage));
  const test::FakeSource source(elf.Build(), MemoryMap::Dialect::kKcore);
  const auto plan = CapturePlan::Make(source, ImageShape::kElf, {}, 131072);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code, ErrorCode::kLimitExceeded);
}

TEST(Plan, MoreMemoryThanThereAreNumbersIsALimit) {
  test::ElfBuilder elf;
  elf.AddRaw(test::LoadHeader(0x1000, 0, uint64_t{1} << 63));
  elf.AddRaw(test::LoadHeader(0x1000 + (uint64_t{1} << 63), uint64_t{1} << 63,
                              (uint64_t{1} << 63) - 0x10000));
  const test::FakeSource source(elf.Build());
  const auto plan = CapturePlan::Make(source, ImageShape::kElf, {}, 131072);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code, ErrorCode::kLimitExceeded);
}

TEST(Plan, HeadersBeyondPnXnumAreWrittenWithASectionHeader) {
  test::ElfBuilder elf;
  for (uint64_t i = 0; i < 65'533; ++i) {
    elf.AddRaw(test::LoadHeader(test::kDirectMap + i * 2 * kPage, i * 2 * kPage, kPage));
  }
  const test::FakeSource source(elf.Build());
  const auto core = test::ParseElf(Image(Plan(source, {})));
  ASSERT_TRUE(core.ok()) << core.error().message;
  EXPECT_EQ(core.value().headers.size(), 65'535U);
  EXPECT_GE(core.value().headers[0].offset, ElfHeadBytes(65'535));
}

}  // namespace
}  // namespace kcoredump
