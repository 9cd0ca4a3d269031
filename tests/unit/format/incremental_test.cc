// SPDX-License-Identifier: MIT
//
// Incremental snapshots that lie, and bases that are not what they were.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/codec.h"
#include "format/snapshot/reader.h"
#include "kcoredump/inspect.h"
#include "support/elf_builder.h"
#include "support/files.h"
#include "support/one_thread.h"
#include "support/raw_snapshot.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kPage;
using test::RawSnapshot;

class IncrementalSnapshot : public ::testing::Test {
 protected:
  IncrementalSnapshot() : base_(RawSnapshot::Of(test::SmallCore().Build())) {
    test::WriteFile(dir_.Path("base"), base_.Build());
    raw_ = RawSnapshot::On(base_, "base");
  }

  /// What Verify says of the file: its damage, or its error; empty: complete and sound.
  std::string Said() {
    test::WriteFile(dir_.Path("new"), raw_.Build());
    return SaidOf("new");
  }
  std::string SaidOf(const std::string& name) {
    const auto report = Verify(dir_.Path(name), test::OneThread());
    if (!report.ok()) return "error: " + report.error().message;
    std::string all = report.value().complete ? "" : report.value().incomplete_reason + "\n";
    for (const std::string& line : report.value().damage) all += line + "\n";
    return all;
  }
  /// Every page of the file at `path` is right, or a hole that says so. How many are right.
  size_t RightPages(const std::string& path) {
    const auto memory = Memory::Open(path);
    if (!memory.ok()) return 0;
    auto reader = memory.value().NewReader();
    size_t right = 0;
    for (uint64_t at = test::kLowRam; at < test::kLowRam + test::kLowRamBytes; at += kPage) {
      Bytes page(kPage);
      const auto report = reader.value().Read(PhysAddr{at}, page);
      EXPECT_TRUE(report.ok());
      if (report.value().FirstHole() != nullptr) continue;
      EXPECT_EQ(page, test::SmallCoreBytes(at, kPage)) << at;
      ++right;
    }
    return right;
  }
  FrameReference Reference(size_t i) { return *DecodeReference(raw_.frames[i]); }
  void Link(const std::string& name) {
    raw_.trailer_more.clear();
    raw_.SetBase({.name = name, .id = base_.Identity()});
  }

  test::TempDir dir_;
  RawSnapshot base_;
  RawSnapshot raw_;
};

TEST_F(IncrementalSnapshot, AnHonestOneIsSoundAndNamesItsBase) {
  EXPECT_EQ(Said(), "");
  EXPECT_EQ(RightPages(dir_.Path("new")), test::kLowRamBytes / kPage);
  const auto info = Describe(dir_.Path("new"));
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info.value().base, dir_.Path("base"));
}

TEST_F(IncrementalSnapshot, PlainZstdGivesNoElfCoreButSaysWhy) {
  if (!test::HaveCommand("zstd")) GTEST_SKIP() << "no zstd here";
  (void)Said();
  const auto unpacked = test::RunCommand("zstd -dcq " + dir_.Path("new"));
  ASSERT_GE(unpacked.output.size(), 100U);
  EXPECT_EQ(unpacked.output[0], std::byte{'n'});
}

TEST_F(IncrementalSnapshot, AMissingBaseIsNamed) {
  unlink(dir_.Path("base").c_str());
  EXPECT_NE(Said().find("needs its base beside it: " + dir_.Path("base")), std::string::npos);
}

TEST_F(IncrementalSnapshot, AnotherSnapshotInItsBasesPlace) {
  base_.trailer.started_utc_ns = 77;
  test::WriteFile(dir_.Path("base"), base_.Build());
  EXPECT_NE(Said().find(dir_.Path("base") + " is another snapshot than the one it was made from"),
            std::string::npos);
}

TEST_F(IncrementalSnapshot, APipeInItsBasesPlaceIsNotWaitedFor) {
  unlink(dir_.Path("base").c_str());
  ASSERT_EQ(mkfifo(dir_.Path("base").c_str(), 0600), 0);
  EXPECT_NE(Said().find("is not a regular file"), std::string::npos);
}

TEST_F(IncrementalSnapshot, ABaseBehindASymbolicLinkIsHeldAgainstItsIdentity) {
  rename(dir_.Path("base").c_str(), dir_.Path("elsewhere").c_str());
  ASSERT_EQ(symlink("elsewhere", dir_.Path("base").c_str()), 0);
  EXPECT_EQ(Said(), "");
  unlink(dir_.Path("base").c_str());
  ASSERT_EQ(symlink("/dev/zero", dir_.Path("base").c_str()), 0);
  EXPECT_NE(Said().find("is not a regular file"), std::string::npos);
}

TEST_F(IncrementalSnapshot, SomethingElseInItsBasesPlace) {
  for (const Bytes& other : {Bytes(), Bytes(5000), test::SmallCore().Build()}) {
    test::WriteFile(dir_.Path("base"), other);
    EXPECT_NE(Said().find("its base cannot be used"), std::string::npos);
  }
}

TEST_F(IncrementalSnapshot, ATornBaseIsNoBase) {
  Bytes torn = base_.Build();
  torn.resize(torn.size() - 20);
  test::WriteFile(dir_.Path("base"), torn);
  EXPECT_NE(Said().find("its base cannot be used"), std::string::npos);
}

TEST_F(IncrementalSnapshot, AFrameOfTheBaseThatChangedIsAHoleAndNeverOtherBytes) {
  (void)Said();
  Bytes changed = base_.Build();
  // The same length and checksums in the table: the trailer, and with it the identity, still hold.
  size_t at = base_.frames[0].size() + base_.frames[1].size() / 2;
  changed[at] ^= std::byte{1};
  test::WriteFile(dir_.Path("base"), changed);
  EXPECT_NE(SaidOf("new").find(", which " + dir_.Path("base") + " has"), std::string::npos);
  EXPECT_LT(RightPages(dir_.Path("new")), test::kLowRamBytes / kPage);
}

TEST_F(IncrementalSnapshot, AFrameOfTheBaseExchangedForAnotherWithTheSameChecksums) {
  FrameReference reference = Reference(1);
  reference.hash[31] ^= std::byte{1};
  raw_.Refer(1, reference);
  EXPECT_NE(Said().find("has not the content that was referred to"), std::string::npos);
  EXPECT_LT(RightPages(dir_.Path("new")), test::kLowRamBytes / kPage);
}

TEST_F(IncrementalSnapshot, AReferenceBeyondTheBasesEnd) {
  for (const uint32_t frame : {static_cast<uint32_t>(base_.frames.size()), 0xffffffffU}) {
    FrameReference reference = Reference(1);
    reference.frame = frame;
    raw_.Refer(1, reference);
    EXPECT_NE(Said().find(", beyond its end"), std::string::npos);
  }
}

TEST_F(IncrementalSnapshot, AReferenceToAFrameOfAnotherSize) {
  FrameReference reference = Reference(1);
  reference.frame = static_cast<uint32_t>(base_.frames.size() - 1);
  raw_.Refer(1, reference);
  EXPECT_NE(Said().find("which has another size"), std::string::npos);
}

TEST_F(IncrementalSnapshot, AReferenceThatSpeaksOfAnotherSizeThanTheTable) {
  for (const uint32_t bytes : {0U, 1U, 0xffffffffU}) {
    FrameReference reference = Reference(1);
    reference.content_bytes = bytes;
    raw_.Refer(1, reference);
    EXPECT_NE(Said().find("which has another size"), std::string::npos);
  }
}

TEST_F(IncrementalSnapshot, AReferenceToAnotherFrameOfTheBase) {
  FrameReference reference = Reference(1);
  reference.frame = 2;
  raw_.Refer(1, reference);
  EXPECT_NE(Said().find("has not the content that was referred to"), std::string::npos);
}

TEST_F(IncrementalSnapshot, AReferenceInASnapshotWithoutABase) {
  raw_.head.clear();
  raw_.trailer_flags = 0;
  raw_.trailer_more.clear();
  EXPECT_NE(Said().find("of its base, and the snapshot has none"), std::string::npos);
}

TEST_F(IncrementalSnapshot, ATrailerThatSpeaksOfAnotherBase) {
  raw_.trailer_more[5] ^= std::byte{1};
  EXPECT_NE(Said().find("speaks of another base"), std::string::npos);
}

TEST_F(IncrementalSnapshot, ATrailerWithMoreReferencesThanFrames) {
  test::Poke(raw_.trailer_more, sizeof(Hash256), uint32_t{0xffffffff});
  EXPECT_NE(Said().find("more references than frames"), std::string::npos);
}

TEST_F(IncrementalSnapshot, ATrailerThatCountsOtherReferences) {
  test::Poke(raw_.trailer_more, sizeof(Hash256), uint32_t{0});
  EXPECT_NE(Said().find("the trailer counts 0 frames that the base has"), std::string::npos);
}

TEST_F(IncrementalSnapshot, AReferenceToAReferenceToAnotherContent) {
  RawSnapshot below = RawSnapshot::On(base_, "base");
  FrameReference reference = Reference(1);
  reference.frame = 2;
  reference.hash[0] ^= std::byte{1};
  below.Refer(1, reference);
  test::WriteFile(dir_.Path("below"), below.Build());
  raw_.trailer_more.clear();
  raw_.SetBase({.name = "below", .id = below.Identity()});
  EXPECT_NE(Said().find("which refers to another content"), std::string::npos);
}

TEST_F(IncrementalSnapshot, ABaseThatTellsNoSize) {
  ASSERT_EQ(symlink("/proc/self/status", dir_.Path("proc").c_str()), 0);
  Link("proc");
  EXPECT_NE(Said().find("proc is empty"), std::string::npos);
}

TEST_F(IncrementalSnapshot, ItsOwnBase) {
  Link("new");
  EXPECT_NE(Said().find("would be its own base"), std::string::npos);
}

TEST_F(IncrementalSnapshot, TwoThatAreEachOthersBase) {
  Link("second");
  test::WriteFile(dir_.Path("new"), raw_.Build());
  Link("new");
  test::WriteFile(dir_.Path("second"), raw_.Build());
  EXPECT_NE(SaidOf("new").find("would be its own base"), std::string::npos);
}

TEST_F(IncrementalSnapshot, NamesThatLeadElsewhere) {
  for (const std::string name :
       {"", ".", "..", "../base", "/etc/passwd", "a/b", "ba\nse", "\x1b[2J"}) {
    Link(name);
    const std::string said = Said();
    EXPECT_NE(said.find("is no name of a file beside it"), std::string::npos) << said;
  }
}

TEST_F(IncrementalSnapshot, ANameLongerThanAny) {
  Link(std::string(kMaxBaseNameBytes + 1, 'x'));
  EXPECT_NE(Said().find("error: "), std::string::npos);
  Link(std::string(60000, 'x'));
  EXPECT_NE(Said().find("cut off"), std::string::npos);
}

TEST_F(IncrementalSnapshot, ANoticeThatReachesBeyondTheFile) {
  raw_.head = EncodeBaseLink({.name = "base", .id = base_.Identity(), .notice_bytes = 60000});
  EXPECT_NE(Said().find("cut off before its first frame"), std::string::npos);
  raw_.head = EncodeBaseLink({.name = "base", .id = base_.Identity(), .notice_bytes = 0xffffffff});
  EXPECT_NE(Said().find("its notice is too long"), std::string::npos);
}

TEST_F(IncrementalSnapshot, AChainIsFollowedAndALongOneRefused) {
  RawSnapshot below = base_;
  std::string name = "base";
  for (size_t i = 1; i <= kMaxBases; ++i) {
    RawSnapshot next = RawSnapshot::On(base_, name);
    next.trailer_more.clear();
    next.SetBase({.name = name, .id = below.Identity()});
    name = "chain" + std::to_string(i);
    test::WriteFile(dir_.Path(name), next.Build());
    const std::string said = SaidOf(name);
    EXPECT_EQ(said, "") << i;
    below = next;
  }
  EXPECT_EQ(RightPages(dir_.Path(name)), test::kLowRamBytes / kPage);
  RawSnapshot last = RawSnapshot::On(base_, name);
  last.trailer_more.clear();
  last.SetBase({.name = name, .id = below.Identity()});
  raw_ = last;
  EXPECT_NE(Said().find("more than 16 snapshots"), std::string::npos);
}

TEST_F(IncrementalSnapshot, TruncatedAtEveryLength) {
  const Bytes whole = raw_.Build();
  size_t most = 0;
  for (size_t length = 0; length < whole.size(); length += length < 800 ? 1 : 97) {
    test::WriteFile(dir_.Path("new"), std::span(whole).first(length));
    EXPECT_NE(SaidOf("new"), "") << length;
    most = std::max(most, RightPages(dir_.Path("new")));
  }
  // What was referred to before the tear is there.
  EXPECT_GT(most, 0U);
}

TEST_F(IncrementalSnapshot, EveryByteOfItsStartAndOfAReferenceFlipped) {
  const Bytes whole = raw_.Build();
  const size_t reference = raw_.head.size() + raw_.frames[0].size();
  const size_t notice =
      EncodeBaseLink({.name = "base", .id = base_.Identity(), .notice_bytes = 0}).size();
  for (size_t at = 0; at < reference + kReferenceBytes; ++at) {
    // The notice is a text for people, and part of no page; zstd ignores some bits of a frame.
    if (at >= notice && at < reference) continue;
    Bytes flipped = whole;
    flipped[at] ^= std::byte{0x10};
    test::WriteFile(dir_.Path("new"), flipped);
    (void)RightPages(dir_.Path("new"));
    // The copy of the checksum ends the record; the table has its own.
    if (at >= reference + kReferenceBytes - 4) continue;
    EXPECT_NE(SaidOf("new"), "") << at;
  }
}

}  // namespace
}  // namespace kcoredump
