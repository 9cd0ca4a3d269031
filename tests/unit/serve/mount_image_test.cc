// SPDX-License-Identifier: MIT
#include "serve/mount_image.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "capture/capture_plan.h"
#include "format/registry.h"
#include "source/range_reader.h"
#include "support/fake_source.h"
#include "support/files.h"
#include "support/lime_builder.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kPage;

/// Three stretches of RAM, two of which touch, and holes at random places.
class MountImageTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kFirst = 0x3000;
  static constexpr uint64_t kSecond = 0x3000 + 50 * kPage;
  static constexpr uint64_t kThird = 0x200000;
  static constexpr uint64_t kPages[] = {50, 30, 200};

  MountImageTest() { PunchHoles(3); }

  void PunchHoles(uint64_t one_in) {
    test::Random random(7);
    source_.script().labels.clear();
    for (const Range& range : source_.map().RamRanges()) {
      for (uint64_t at = range.begin; at < range.end; at += kPage) {
        if (one_in != 0 && random.Below(one_in) == 0) {
          source_.script().labels[at] = {.outcome = PageOutcome::kExcluded};
        }
      }
    }
    auto held = HeldPages::Of(source_);
    EXPECT_TRUE(held.ok());
    held_ = std::move(held.value());
  }

  static Bytes ThreeLoads() {
    test::ElfBuilder elf;
    const uint64_t starts[] = {kFirst, kSecond, kThird};
    for (size_t i = 0; i < 3; ++i) {
      elf.AddLoad(test::LoadHeader(test::kDirectMap + starts[i], starts[i], kPages[i] * kPage), {});
    }
    elf.AddNote("VMCOREINFO", 0, "OSRELEASE=6.1.0-test\nPAGESIZE=4096\n");
    return elf.Build();
  }

  /// What memory has at a page: zeros where it is not held.
  [[nodiscard]] Bytes Page(uint64_t at) const {
    return source_.script_labels(at) ? Bytes(kPage) : test::MemoryBytes(at, kPage);
  }

  Bytes Whole(const VirtualImage& image) {
    Bytes bytes(image.bytes());
    const auto count = ReadImage(image, memory_, 0, bytes);
    EXPECT_TRUE(count.ok()) << (count.ok() ? "" : count.error().message);
    EXPECT_EQ(count.ok() ? count.value() : 0, bytes.size());
    return bytes;
  }

  /// Reads from any offset give the bytes that one read of all gives.
  void CheckRandomReads(const VirtualImage& image, const Bytes& whole) {
    test::Random random(3);
    for (int i = 0; i < 600; ++i) {
      const uint64_t at = random.Below(whole.size() + 10);
      Bytes part(random.Below(i % 10 == 0 ? 50000 : 100));
      const auto count = ReadImage(image, memory_, at, part);
      ASSERT_TRUE(count.ok()) << at;
      ASSERT_EQ(
          count.value(),
          std::min<uint64_t>(part.size(), whole.size() - std::min<uint64_t>(at, whole.size())));
      ASSERT_TRUE(
          std::equal(part.begin(), part.begin() + static_cast<ptrdiff_t>(count.value()),
                     whole.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(at, whole.size()))))
          << at;
    }
  }

  struct Source : test::FakeSource {
    using FakeSource::FakeSource;
    [[nodiscard]] bool script_labels(uint64_t at) const {
      return const_cast<Source*>(this)->script().labels.contains(at);
    }
  };
  Source source_{ThreeLoads()};
  HeldPages held_;
  MountMemory memory_{source_, 1 << 20};
};

TEST_F(MountImageTest, ElfIsThePlansHeadAndMemory) {
  const Bytes vendor = test::NoteBytes("KCOREDUMP", 1, "{}");
  const auto image = MakeElfImage(source_, held_, vendor);
  ASSERT_TRUE(image.ok());
  auto plan = CapturePlan::Make(source_, ImageShape::kElf, vendor, 16384);
  ASSERT_TRUE(plan.ok());
  Bytes expected;
  for (const Region& region : plan.value().regions()) {
    if (!region.is_memory) test::Append(expected, region.literal);
    for (uint64_t at = 0; region.is_memory && at < region.bytes; at += kPage) {
      test::Append(expected, Page(region.phys.value + at));
    }
  }
  const Bytes whole = Whole(*image.value());
  EXPECT_EQ(whole, expected);
  CheckRandomReads(*image.value(), whole);
}

TEST_F(MountImageTest, RawHasEveryByteAtItsAddress) {
  const auto image = MakeRawImage(source_, held_);
  Bytes expected(kThird + 200 * kPage);
  for (const Range& range : source_.map().RamRanges()) {
    for (uint64_t at = range.begin; at < range.end; at += kPage) {
      const Bytes page = Page(at);
      std::copy(page.begin(), page.end(), expected.begin() + static_cast<ptrdiff_t>(at));
    }
  }
  const Bytes whole = Whole(*image);
  EXPECT_EQ(whole, expected);
  CheckRandomReads(*image, whole);
}

TEST_F(MountImageTest, LimeHasARangeForEachRunOfPages) {
  const auto image = MakeLimeImage(held_);
  Bytes expected;
  for (const HeldPages::Run& run : held_.runs()) {
    test::Append(expected, test::LimeRange(run.phys.begin, run.phys.end));
  }
  const Bytes whole = Whole(*image);
  EXPECT_EQ(whole, expected);
  CheckRandomReads(*image, whole);
}

TEST_F(MountImageTest, KdumpOpensWithTheSamePagesAndHoles) {
  for (const uint64_t one_in : {0, 3, 50}) {
    PunchHoles(one_in);
    const auto image = MakeKdumpImage(source_, held_, 0);
    const Bytes whole = Whole(*image);
    const test::MemoryFile file(whole);
    const auto opened = OpenSource(file.path());
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    EXPECT_EQ(opened.value()->map().RamRanges(), source_.map().RamRanges());
    EXPECT_EQ(VmcoreinfoText(*opened.value()), VmcoreinfoText(source_));
    auto reader = RangeReader::Create(*opened.value(), {});
    ASSERT_TRUE(reader.ok());
    for (const Range& range : source_.map().RamRanges()) {
      for (uint64_t at = range.begin; at < range.end; at += kPage) {
        ReadReport report;
        Bytes page(kPage);
        ASSERT_TRUE(reader.value()->Read(PhysAddr{at}, page, report).ok());
        EXPECT_EQ(report.counts.direct, source_.script_labels(at) ? 0U : 1U) << at;
        EXPECT_EQ(page, Page(at)) << at;
      }
    }
    CheckRandomReads(*image, whole);
  }
}

TEST_F(MountImageTest, PiecesCoverTheImageAndCountItsData) {
  for (const uint64_t one_in : {1, 3}) {
    PunchHoles(one_in);
    auto elf = MakeElfImage(source_, held_, {});
    ASSERT_TRUE(elf.ok());
    const std::unique_ptr<VirtualImage> images[] = {
        std::move(elf.value()), MakeRawImage(source_, held_), MakeLimeImage(held_),
        MakeKdumpImage(source_, held_, 0)};
    for (const auto& image : images) {
      uint64_t data = 0;
      uint64_t at = 0;
      while (at < image->bytes()) {
        const ImagePiece piece = image->At(at);
        ASSERT_NE(piece.bytes, 0U);
        ASSERT_LE(piece.bytes, image->bytes() - at);
        if (piece.kind != ImagePiece::Kind::kZeros) data += piece.bytes;
        at += piece.bytes;
      }
      EXPECT_EQ(data, image->data_bytes());
    }
  }
}

TEST_F(MountImageTest, APageThatCannotBeReadEndsTheReadBeforeIt) {
  PunchHoles(0);
  source_.script().failing_for_ever[kThird + 10 * kPage] = EIO;
  const auto image = MakeRawImage(source_, held_);
  Bytes bytes(20 * kPage);
  const auto count = ReadImage(*image, memory_, kThird, bytes);
  ASSERT_TRUE(count.ok());
  EXPECT_EQ(count.value(), 10 * kPage);
  bytes.resize(count.value());
  EXPECT_EQ(bytes, test::MemoryBytes(kThird, 10 * kPage));
  const auto failed = ReadImage(*image, memory_, kThird + 10 * kPage + 5, bytes);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::kUnreadable);
}

TEST_F(MountImageTest, OfALiveKernelNothingIsKept) {
  PunchHoles(0);
  source_.as_kind = SourceKind::kLive;
  MountMemory memory(source_, 1 << 20);
  Bytes page(kPage);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(memory.Read(PhysAddr{kThird}, page).ok());
  EXPECT_EQ(source_.script().CallsAt(kThird), 3U);
}

TEST_F(MountImageTest, ManyThreads) {
  const auto image = MakeLimeImage(held_);
  const Bytes whole = Whole(*image);
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < 4; ++i) threads.emplace_back([&] { CheckRandomReads(*image, whole); });
}

TEST(HeldPages, RunsEndAtHolesAndJoinAcrossSegments) {
  const auto source = test::FlatSource(40);
  for (const uint64_t hole : {0, 7, 8, 39}) {
    source->script().labels[test::kFlatStart + hole * kPage] = {.outcome = PageOutcome::kOffline};
  }
  const auto held = HeldPages::Of(*source);
  ASSERT_TRUE(held.ok());
  ASSERT_EQ(held.value().runs().size(), 2U);
  const Range first{test::kFlatStart + kPage, test::kFlatStart + 7 * kPage};
  EXPECT_EQ(held.value().runs()[0].phys, first);
  EXPECT_EQ(held.value().runs()[1].before, first.size());
  EXPECT_EQ(held.value().bytes(), 36 * kPage);
  EXPECT_FALSE(held.value().At(test::kFlatStart).held);
  EXPECT_EQ(held.value().At(test::kFlatStart).bytes, kPage);
  EXPECT_EQ(held.value().At(first.begin + 5).bytes, first.size() - 5);
  EXPECT_FALSE(held.value().At(~uint64_t{0} - 1).held);
}

TEST(HeldPages, NothingHeld) {
  const auto source = test::FlatSource(4);
  for (uint64_t page = 0; page < 4; ++page) {
    source->script().labels[test::kFlatStart + page * kPage] = {.outcome = PageOutcome::kAbsent};
  }
  const auto held = HeldPages::Of(*source);
  ASSERT_TRUE(held.ok());
  EXPECT_EQ(held.value().bytes(), 0U);
  EXPECT_EQ(MakeLimeImage(held.value())->bytes(), 0U);
  EXPECT_FALSE(held.value().At(test::kFlatStart).held);
}

}  // namespace
}  // namespace kcoredump
