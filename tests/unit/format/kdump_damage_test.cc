// SPDX-License-Identifier: MIT
//
// kdump files that are damaged or lie. For every one: no crash, an error or labelled pages, and
// never another page's bytes.
#include <gtest/gtest.h>

#include "format/kdump/bitmap.h"
#include "kcoredump/inspect.h"
#include "support/elf_builder.h"
#include "support/files.h"
#include "support/image_read.h"
#include "support/kdump_builder.h"
#include "support/one_thread.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::KdumpBuilder;
using test::kPage;
using test::MemoryFile;

class KdumpDamage : public ::testing::Test {
 protected:
  /// Everything a user may do with the file.
  void Judge() {
    text_.clear();
    const auto info = Describe(file_.path());
    if (info.ok()) text_ = ToText(info.value()) + ToJson(info.value());
    const auto report = Verify(file_.path(), test::OneThread());
    if (report.ok()) text_ += ToText(report.value()) + ToJson(report.value(), file_.path());
    auto memory = Memory::Open(file_.path());
    if (!memory.ok()) {
      EXPECT_NE(memory.error().message.find(file_.path()), std::string::npos)
          << memory.error().message;
      return;
    }
    auto reader = memory.value().NewReader();
    ASSERT_TRUE(reader.ok());
    Bytes out(50 * kPage);
    EXPECT_TRUE(reader.value().Read(PhysAddr{0}, out).ok());
    EXPECT_TRUE(reader.value().Read(VirtAddr{test::kImageBase}, std::span(out).first(9000)).ok());
  }
  void JudgeBytes(const Bytes& bytes) {
    file_.Set(bytes);
    Judge();
  }
  /// What reading one page of the dump says, whose descriptor is changed.
  PageRun HoleAt(uint64_t pfn, const std::function<void(test::PageDesc&)>& change) {
    KdumpBuilder dump = test::SmallKdump();
    dump.forge = [&](uint64_t at, test::PageDesc& desc) {
      if (at == pfn) change(desc);
    };
    file_.Set(dump.Build());
    const auto back = test::ReadImage(file_.path(), pfn * kPage, kPage);
    EXPECT_TRUE(test::AllZero(back.bytes));
    return back.report.FirstHole() != nullptr ? *back.report.FirstHole() : PageRun();
  }

  const Bytes dump_ = test::SmallKdump().Build();
  MemoryFile file_;
  std::string text_;
};

TEST_F(KdumpDamage, CutOffAtManyLengths) {
  const size_t headers = test::SmallKdump().DescriptorsAt();
  for (size_t size = 0; size < dump_.size(); size += size < 500 ? 1 : 97) {
    file_.Set(std::span(dump_).first(size));
    Judge();
    const auto source = OpenSource(file_.path());
    ASSERT_EQ(source.ok(), size >= headers - kPage + 32) << size;  // the second bitmap's bits
    if (source.ok()) {
      EXPECT_NE(source.value()->IncompleteReason(), "") << size;
    }
  }
}

TEST_F(KdumpDamage, EveryHeaderByteFlipped) {
  for (size_t at = 0; at < kPage + 600; ++at) {
    if (at == 470) at = kPage;                       // padding
    if (at > kPage + 110 && at % 16 != 0) continue;  // notes
    for (const int mask : {0xff, 0x01, 0x80}) {
      Bytes bytes = dump_;
      bytes[at] ^= static_cast<std::byte>(mask);
      JudgeBytes(bytes);
    }
  }
}

TEST_F(KdumpDamage, EveryBitmapAndDescriptorByteFlipped) {
  const size_t descriptors = test::SmallKdump().DescriptorsAt();
  for (size_t bitmap : {descriptors - 2 * kPage, descriptors - kPage, descriptors}) {
    for (size_t at = bitmap; at < bitmap + 40; ++at) {
      Bytes bytes = dump_;
      bytes[at] ^= std::byte{0xff};
      JudgeBytes(bytes);
    }
  }
}

TEST_F(KdumpDamage, EveryDataByteFlippedIsFoundOrChangesItsPageAlone) {
  const KdumpBuilder dump = test::SmallKdump();
  for (size_t at = dump.DescriptorsAt() + 36 * 24; at < dump_.size(); at += 211) {
    Bytes bytes = dump_;
    bytes[at] ^= std::byte{0x10};
    file_.Set(bytes);
    const auto back = test::ReadImage(file_.path(), 0, 48 * kPage);
    size_t different = 0;
    for (const uint64_t pfn : dump.memory) {
      if (IsHole(back.OutcomeAt(pfn * kPage))) continue;
      const auto page = std::span(back.bytes).subspan(pfn * kPage, kPage);
      different += Bytes(page.begin(), page.end()) != dump.PageContent(pfn) ? 1 : 0;
    }
    // The shared zero page stands for four.
    ASSERT_LE(different, 4U) << at;
  }
}

TEST_F(KdumpDamage, DescriptorsBeyondTheFile) {
  const PageRun hole = HoleAt(18, [](test::PageDesc& desc) { desc.offset = uint64_t{1} << 40; });
  EXPECT_EQ(hole.outcome, PageOutcome::kUnreadable);
  EXPECT_EQ(hole.system_errno, ENODATA);
  for (const uint64_t offset : {~uint64_t{0}, ~uint64_t{0} - 100, uint64_t{1} << 63}) {
    EXPECT_TRUE(IsHole(HoleAt(18, [&](test::PageDesc& desc) { desc.offset = offset; }).outcome));
  }
}

TEST_F(KdumpDamage, SizesThatLie) {
  for (const uint32_t bytes : {0U, 4095U, 4097U, 0xffffffffU}) {
    const PageRun plain = HoleAt(2, [&](test::PageDesc& desc) { desc.bytes = bytes; });
    EXPECT_EQ(plain.system_errno, EBADMSG) << bytes;
  }
  for (const uint64_t pfn : {18U, 26U, 34U, 42U}) {
    for (const uint32_t bytes : {0U, 1U, 100000U, 0x7fffffffU, 0xffffffffU}) {
      const PageRun packed = HoleAt(pfn, [&](test::PageDesc& desc) { desc.bytes = bytes; });
      EXPECT_EQ(packed.system_errno, EBADMSG) << pfn << " " << bytes;
    }
  }
}

TEST_F(KdumpDamage, FlagsThatDoNotExist) {
  for (const uint32_t flags : {3U, 7U, 0x21U, 0x27U, 0xffffffffU}) {
    const PageRun hole = HoleAt(18, [&](test::PageDesc& desc) { desc.flags = flags; });
    EXPECT_EQ(hole.system_errno, EBADMSG) << flags;
  }
  // Another codec's flag on good data.
  for (const uint32_t flags : {2U, 4U, 0x20U}) {
    EXPECT_EQ(HoleAt(18, [&](test::PageDesc& desc) { desc.flags = flags; }).system_errno, EBADMSG);
  }
}

/// A page of 4 KiB that would unpack to 64 MiB.
TEST_F(KdumpDamage, ABombInAPagesPlace) {
  for (const PageCodec codec :
       {PageCodec::kZlib, PageCodec::kLzo, PageCodec::kSnappy, PageCodec::kZstd}) {
    KdumpBuilder dump = test::SmallKdump();
    Bytes bytes = dump.Build();
    const Bytes bomb = test::Packed(codec, Bytes(64 << 20));
    const size_t descriptor = dump.DescriptorsAt() + 9 * 24;  // page 18, after 1 to 7, 16 and 17
    test::Poke(bytes, descriptor, uint64_t{bytes.size()});
    test::Poke(bytes, descriptor + 8, static_cast<uint32_t>(std::min<size_t>(bomb.size(), 4000)));
    test::Poke(bytes, descriptor + 12, test::FlagOf(codec));
    bytes.insert(bytes.end(), bomb.begin(), bomb.end());
    file_.Set(bytes);
    const auto back = test::ReadImage(file_.path(), 18 * kPage, kPage);
    ASSERT_NE(back.report.FirstHole(), nullptr) << PageCodecName(codec);
    EXPECT_EQ(back.report.FirstHole()->system_errno, EBADMSG);
  }
}

TEST_F(KdumpDamage, CountsThatLie) {
  const auto poked = [&](size_t at, auto value) {
    Bytes bytes = dump_;
    test::Poke(bytes, at, value);
    JudgeBytes(bytes);
    return test::OpenError(file_.path());
  };
  for (const int32_t blocks : {0, -1, 0x7fffffff, -0x7fffffff}) {
    EXPECT_NE(poked(test::kSubHeaderBlocksAt, blocks), "") << blocks;
  }
  for (const uint32_t blocks : {0U, 1U << 30, 0xffffffffU}) {
    EXPECT_NE(poked(test::kBitmapBlocksAt, blocks), "") << blocks;
  }
  for (const int32_t bytes : {0, -4096, 1, 4097, 512, 1 << 20}) {
    EXPECT_NE(poked(test::kBlockSizeAt, bytes), "") << bytes;
  }
  for (const uint64_t pages : {uint64_t{0}, uint64_t{1} << 34, uint64_t{1} << 40, ~uint64_t{0}}) {
    EXPECT_NE(poked(test::kMaxMapnr64At, pages), "") << pages;
  }
  for (const uint64_t bytes : {uint64_t{1} << 20, uint64_t{1} << 40, ~uint64_t{0}}) {
    EXPECT_NE(poked(test::kNoteAt + 8, bytes), "") << bytes;
  }
  EXPECT_NE(poked(test::kNoteAt, ~uint64_t{0} - 5), "");
}

TEST_F(KdumpDamage, BitmapsLongerThanTheFile) {
  Bytes bytes = dump_;
  test::Poke(bytes, test::kBitmapBlocksAt, uint32_t{1} << 20);
  test::Poke(bytes, test::kMaxMapnr64At, uint64_t{1} << 33);
  JudgeBytes(bytes);
  EXPECT_NE(test::OpenError(file_.path()).find("bitmaps"), std::string::npos);
}

/// Two gigabytes of bitmaps that a few kilobytes of disk promise.
TEST_F(KdumpDamage, ASparseBitmapOfZerosHoldsNoMemory) {
  Bytes bytes = dump_;
  test::Poke(bytes, test::kBitmapBlocksAt, uint32_t{1} << 16);
  test::Poke(bytes, test::kMaxMapnr64At, uint64_t{1} << 30);
  bytes.resize(test::SmallKdump().DescriptorsAt() - 2 * kPage);
  file_.Set(bytes);
  file_.Truncate(uint64_t{1} << 29);
  EXPECT_NE(test::OpenError(file_.path()), "");
}

TEST_F(KdumpDamage, MoreRangesThanAreAccepted) {
  KdumpBuilder dump;
  dump.max_pfn = 2 * kMaxKdumpRanges + 100;
  for (uint64_t pfn = 0; pfn < dump.max_pfn; pfn += 2) dump.memory.insert(pfn);
  dump.excluded = dump.memory;
  file_.Set(dump.Build());
  EXPECT_NE(test::OpenError(file_.path()).find("separate ranges"), std::string::npos);
}

TEST_F(KdumpDamage, APartThatEndsBeforeItBegins) {
  KdumpBuilder dump = test::SmallKdump();
  dump.part = {30, 20};
  file_.Set(dump.Build());
  EXPECT_NE(test::OpenError(file_.path()).find("ends before it begins"), std::string::npos);
}

TEST_F(KdumpDamage, APartFarBeyondTheMemory) {
  KdumpBuilder dump = test::SmallKdump();
  dump.part = {~uint64_t{0} - 1, ~uint64_t{0}};
  JudgeBytes(dump.Build());
  EXPECT_NE(test::OpenImage(file_.path())->IncompleteReason(), "");
}

TEST_F(KdumpDamage, DamagedNotesAreNamed) {
  KdumpBuilder dump = test::SmallKdump();
  test::Poke(dump.notes, 4, uint32_t{0x7fffffff});  // n_descsz
  JudgeBytes(dump.Build());
  EXPECT_NE(text_.find("damage"), std::string::npos) << text_;
}

TEST_F(KdumpDamage, VerifyListsWhatIsDamaged) {
  KdumpBuilder dump = test::SmallKdump();
  dump.forge = [](uint64_t pfn, test::PageDesc& desc) {
    if (pfn == 18 || pfn == 19 || pfn == 33) desc.bytes -= 1;
  };
  file_.Set(dump.Build());
  const auto report = Verify(file_.path(), test::OneThread());
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(report.value().complete);
  EXPECT_EQ(report.value().pages.unreadable, 3U);
  EXPECT_EQ(report.value().pages.read(), test::kSmallKdumpPages - 4 - 3);
  EXPECT_EQ(report.value().pages.excluded, 4U);
  ASSERT_EQ(report.value().damage.size(), 2U);
  EXPECT_NE(report.value().damage[0].find("0x0000000000012000"), std::string::npos);
  EXPECT_NE(report.value().damage[0].find("1 after it"), std::string::npos);
}

}  // namespace
}  // namespace kcoredump
