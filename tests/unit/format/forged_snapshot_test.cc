// SPDX-License-Identifier: MIT
//
// Snapshots that lie consistently: every hash is right, and what it covers is not.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

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
using test::MemoryFile;
using test::RawSnapshot;

class ForgedSnapshot : public ::testing::Test {
 protected:
  /// Complete and without damage, as far as Verify can tell.
  [[nodiscard]] bool Passes() { return Passes(raw_.Build()); }
  [[nodiscard]] bool Passes(const Bytes& bytes) {
    file_.Set(bytes);
    const auto info = Describe(file_.path());
    if (info.ok()) text_ = ToText(info.value());
    ReadAll();
    const auto report = Verify(file_.path(), test::OneThread());
    if (!report.ok()) return false;
    text_ += ToText(report.value());
    return report.value().complete && report.value().damage.empty();
  }
  void ReadAll() {
    auto memory = Memory::Open(file_.path());
    if (!memory.ok()) return;
    auto reader = memory.value().NewReader();
    ASSERT_TRUE(reader.ok());
    Bytes out(40 * kPage);
    (void)reader.value().Read(PhysAddr{0}, out);
    (void)reader.value().Read(PhysAddr{test::kHighRam - kPage}, out);
    (void)reader.value().Read(VirtAddr{test::kImageBase}, out);
    (void)reader.value().Read(VirtAddr{~uint64_t{0} - 40 * kPage}, out);
  }
  /// Verify's damage, joined; or its error.
  [[nodiscard]] std::string Damage(const Bytes& bytes) {
    file_.Set(bytes);
    const auto report = Verify(file_.path(), test::OneThread());
    if (!report.ok()) return "error: " + report.error().message;
    std::string all;
    for (const std::string& line : report.value().damage) all += line + "\n";
    return all;
  }
  /// A snapshot of a core with this header changed.
  [[nodiscard]] bool PassesWithHeader(size_t index, size_t field, uint64_t value) {
    Bytes core = test::SmallCore().Build();
    test::Poke(core, 64 + index * sizeof(Elf64_Phdr) + field, value);
    return Passes(RawSnapshot::Of(core).Build());
  }

  RawSnapshot raw_ = RawSnapshot::Of(test::SmallCore().Build());
  MemoryFile file_;
  std::string text_;
};

TEST_F(ForgedSnapshot, AnHonestOnePasses) { EXPECT_TRUE(Passes()) << text_; }

TEST_F(ForgedSnapshot, PageSizesThatDoNotExist) {
  for (const uint32_t bytes : {0U, 3U, 1U, 2048U, 4097U, 131072U, 0x80000000U, 0xffffffffU}) {
    raw_.trailer.page_bytes = bytes;
    EXPECT_FALSE(Passes()) << bytes;
  }
}

TEST_F(ForgedSnapshot, RunsThatOverlapOrGoBackwards) {
  raw_.trailer.runs = {{.first = PhysAddr{0x2000}, .pages = 4, .outcome = PageOutcome::kUnreadable},
                       {.first = PhysAddr{0x4000}, .pages = 1, .outcome = PageOutcome::kOffline}};
  EXPECT_FALSE(Passes());
  raw_.trailer.runs = {
      {.first = PhysAddr{0x4000}, .pages = 1, .outcome = PageOutcome::kUnreadable},
      {.first = PhysAddr{0x2000}, .pages = 1, .outcome = PageOutcome::kUnreadable}};
  EXPECT_FALSE(Passes());
}

TEST_F(ForgedSnapshot, RunsOfNothingOrOfEverything) {
  for (const uint64_t pages : {uint64_t{0}, uint64_t{1} << 52, ~uint64_t{0}, uint64_t{1} << 63}) {
    raw_.trailer.runs = {
        {.first = PhysAddr{0x2000}, .pages = pages, .outcome = PageOutcome::kUnreadable}};
    EXPECT_FALSE(Passes()) << pages;
  }
  // Large, but within the address space: reading must not take for ever.
  raw_.trailer.runs = {
      {.first = PhysAddr{0x1000}, .pages = uint64_t{1} << 50, .outcome = PageOutcome::kUnreadable}};
  (void)Passes();
}

TEST_F(ForgedSnapshot, CountsThatAreNotThoseOfTheRuns) {
  const PageRun hole{.first = PhysAddr{0x2000}, .pages = 1, .outcome = PageOutcome::kUnreadable};
  raw_.trailer.runs = {hole};
  EXPECT_FALSE(Passes());
  EXPECT_NE(text_.find("outcome map lists 1"), std::string::npos) << text_;
  raw_.trailer.counts = {.direct = 23, .unreadable = 1};
  EXPECT_TRUE(Passes()) << text_;
  raw_.trailer.runs = {};
  EXPECT_FALSE(Passes());
}

TEST_F(ForgedSnapshot, CountsThatAreNotThoseOfTheMemory) {
  for (const uint64_t pages : {0, 23, 25}) {
    raw_.trailer.counts = {.direct = pages};
    EXPECT_FALSE(Passes()) << pages;
  }
  raw_.trailer.counts = {.direct = 20, .not_reached = 4};
  EXPECT_TRUE(Passes()) << text_;
  raw_.trailer.zero_pages = 21;
  EXPECT_FALSE(Passes());
}

TEST_F(ForgedSnapshot, RunsWithOutcomesThatAreNeverListed) {
  for (const uint8_t outcome : {uint8_t{0}, uint8_t{7}, uint8_t{9}, uint8_t{255}}) {
    raw_.trailer.runs = {
        {.first = PhysAddr{0x2000}, .pages = 1, .outcome = static_cast<PageOutcome>(outcome)}};
    EXPECT_FALSE(Passes()) << int{outcome};
  }
}

TEST_F(ForgedSnapshot, RunsThatStartWithinAPage) {
  raw_.trailer.runs = {
      {.first = PhysAddr{0x2800}, .pages = 1, .outcome = PageOutcome::kUnreadable}};
  EXPECT_FALSE(Passes()) << text_;
}

TEST_F(ForgedSnapshot, MoreRunsThanThereAreBytes) {
  Bytes head = EncodeTrailerHead(raw_.trailer, static_cast<uint32_t>(raw_.entries.size()));
  for (const uint32_t count : {1U, 1000U, uint32_t{kMaxTrailerRuns}, 0xffffffffU, 0x0aaaaaabU}) {
    test::Poke(head, head.size() - 4, count);  // without runs, the count is the last field
    raw_.trailer_head = head;
    EXPECT_FALSE(Passes()) << count;
  }
}

TEST_F(ForgedSnapshot, AReasonLongerThanTheTrailer) {
  const Bytes head = EncodeTrailerHead(raw_.trailer, static_cast<uint32_t>(raw_.entries.size()));
  for (const uint32_t bytes : {1U, 4096U, 4097U, 0xffffffffU}) {
    Bytes forged = head;
    test::Poke(forged, head.size() - 8, bytes);
    raw_.trailer_head = forged;
    EXPECT_FALSE(Passes()) << bytes;
  }
}

TEST_F(ForgedSnapshot, AnotherVersionIsNotTakenForThisOne) {
  Bytes head = EncodeTrailerHead(raw_.trailer, static_cast<uint32_t>(raw_.entries.size()));
  test::Poke(head, 8, uint32_t{2});
  raw_.trailer_head = head;
  EXPECT_FALSE(Passes());
}

TEST_F(ForgedSnapshot, TrailerAndTableDisagreeAboutTheNumberOfFrames) {
  const auto frames = static_cast<uint32_t>(raw_.entries.size());
  for (const uint32_t count : {0U, frames - 1, frames + 1, 0xffffffffU}) {
    raw_.trailer_frames = count;
    EXPECT_FALSE(Passes()) << count;
  }
  raw_.trailer_frames.reset();
  for (const uint32_t count : {0U, frames - 1, frames + 1, 0xffffffffU, uint32_t{kMaxFrames}}) {
    raw_.footer_frames = count;
    EXPECT_FALSE(Passes()) << count;
  }
}

TEST_F(ForgedSnapshot, TrailerAndTableDisagreeAboutTheAmountOfData) {
  raw_.trailer.plain_bytes += 1;
  raw_.trailer.expected_bytes += 1;
  EXPECT_FALSE(Passes());
}

TEST_F(ForgedSnapshot, LessThanExpectedIsNotCompleteWhateverTheFlagSays) {
  raw_.trailer.expected_bytes += kPage;
  EXPECT_FALSE(Passes());
}

TEST_F(ForgedSnapshot, EntriesWithoutContentOrWithTooMuch) {
  for (const uint32_t bytes : {0U, uint32_t{kMaxFrameContentBytes} + 1, 0xffffffffU}) {
    RawSnapshot raw = raw_;
    raw.entries[1].content_bytes = bytes;
    raw.trailer.plain_bytes += bytes - uint64_t{raw_.entries[1].content_bytes};
    raw.trailer.expected_bytes = raw.trailer.plain_bytes;
    EXPECT_FALSE(Passes(raw.Build())) << bytes;
  }
}

TEST_F(ForgedSnapshot, EntriesThatReachBeyondTheFile) {
  for (const uint32_t bytes : {0U, 1U, 100'000U, 0xffffffffU}) {
    RawSnapshot raw = raw_;
    raw.entries.back().compressed_bytes = bytes;
    EXPECT_FALSE(Passes(raw.Build())) << bytes;
  }
}

TEST_F(ForgedSnapshot, AWrongChecksumInTheTableIsNamed) {
  raw_.entries[1].checksum ^= 1;
  EXPECT_NE(Damage(raw_.Build()).find("frame 1 "), std::string::npos) << Damage(raw_.Build());
}

TEST_F(ForgedSnapshot, AFrameThatSaysAnotherSizeThanTheTable) {
  RawSnapshot raw = raw_;
  raw.frames[1] = test::CompressedFrame(Bytes(100));
  raw.entries[1].compressed_bytes = static_cast<uint32_t>(raw.frames[1].size());
  EXPECT_FALSE(Passes(raw.Build())) << text_;
}

/// The most zeros that a frame may hold, in a few bytes: allowed, and it costs no more than that.
TEST_F(ForgedSnapshot, AFrameBomb) {
  RawSnapshot raw = raw_;
  raw.AddFrame(Bytes(kMaxFrameContentBytes));
  raw.trailer.plain_bytes += kMaxFrameContentBytes;
  raw.trailer.expected_bytes = raw.trailer.plain_bytes;
  EXPECT_TRUE(Passes(raw.Build())) << text_;
}

TEST_F(ForgedSnapshot, AFrameThatOnlyClaimsToHoldMuch) {
  RawSnapshot raw = raw_;
  raw.frames.push_back(test::LyingFrame(kMaxFrameContentBytes));
  raw.entries.push_back({.compressed_bytes = static_cast<uint32_t>(raw.frames.back().size()),
                         .content_bytes = uint32_t{kMaxFrameContentBytes},
                         .checksum = 0});
  raw.frame_ms.push_back(0);
  raw.trailer.plain_bytes += kMaxFrameContentBytes;
  raw.trailer.expected_bytes = raw.trailer.plain_bytes;
  EXPECT_FALSE(Passes(raw.Build())) << text_;
}

TEST_F(ForgedSnapshot, AFirstFrameThatClaimsMoreThanAnyFile) {
  for (const uint64_t bytes :
       {~uint64_t{0}, uint64_t{1} << 62, kMaxFrameContentBytes + 1, uint64_t{0}}) {
    EXPECT_FALSE(Passes(test::LyingFrame(bytes))) << bytes;
  }
}

uint64_t BytesReadSoFar() {
  std::ifstream io("/proc/self/io");
  std::string key;
  uint64_t value = 0;
  io >> key >> value;
  return value;  // rchar
}

/// A torn file is walked frame by frame. Frames of 16 bytes that claim much must not each cost a
/// look at as many bytes that follow.
TEST_F(ForgedSnapshot, TinyFramesWithLargeClaimsDoNotMakeTheWalkQuadratic) {
  Bytes frames;
  for (int i = 0; i < 1000; ++i) {
    const Bytes frame = test::LyingFrame(kMaxFrameContentBytes);
    frames.insert(frames.end(), frame.begin(), frame.end());
  }
  file_.Set(frames);
  static constexpr uint64_t kFileBytes = 80 << 20;
  file_.Truncate(kFileBytes);
  const uint64_t before = BytesReadSoFar();
  if (before == 0) GTEST_SKIP() << "no /proc/self/io here";
  (void)SnapshotFile::Open(file_.path());
  EXPECT_LE(BytesReadSoFar() - before, 4 * kFileBytes);
}

TEST_F(ForgedSnapshot, HeadersInsideThatOverlapEachOther) {
  // Header 2 and 3 are RAM: the second is moved over the first.
  Bytes core = test::SmallCore().Build();
  test::Poke(core, 64 + 3 * 56 + offsetof(Elf64_Phdr, p_paddr), uint64_t{0x3000});
  test::Poke(core, 64 + 3 * 56 + offsetof(Elf64_Phdr, p_vaddr), test::kDirectMap + 0x3000);
  EXPECT_FALSE(Passes(RawSnapshot::Of(core).Build())) << text_;
}

TEST_F(ForgedSnapshot, HeadersInsideThatOverflow) {
  for (const size_t field : {offsetof(Elf64_Phdr, p_offset), offsetof(Elf64_Phdr, p_vaddr),
                             offsetof(Elf64_Phdr, p_memsz), offsetof(Elf64_Phdr, p_filesz)}) {
    EXPECT_FALSE(PassesWithHeader(3, field, ~uint64_t{0} - 0x1000)) << field << "\n" << text_;
  }
}

TEST_F(ForgedSnapshot, HeadersInsideThatPointBeyondTheImage) {
  for (const size_t index : {size_t{0}, size_t{2}, size_t{3}}) {
    EXPECT_FALSE(PassesWithHeader(index, offsetof(Elf64_Phdr, p_offset), uint64_t{1} << 40))
        << index << "\n"
        << text_;
  }
}

/// The last segment one page further on: its last page lies behind the image's end.
TEST_F(ForgedSnapshot, AHeaderInsideThatReachesOnePageTooFar) {
  Bytes core = test::SmallCore().Build();
  const size_t field = 64 + 3 * sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, p_offset);
  uint64_t offset = 0;
  std::memcpy(&offset, core.data() + field, sizeof(offset));
  test::Poke(core, field, offset + kPage);
  EXPECT_FALSE(Passes(RawSnapshot::Of(core).Build())) << text_;
}

/// Of a type nobody reads; its end wraps around to a small number.
TEST_F(ForgedSnapshot, AHeaderInsideWhoseEndWrapsAround) {
  test::ElfBuilder core = test::SmallCore();
  Elf64_Phdr raw{};
  raw.p_type = PT_LOOS + 5;
  raw.p_offset = ~uint64_t{0} - 15;
  raw.p_filesz = 32;
  core.AddRaw(raw);
  EXPECT_FALSE(Passes(RawSnapshot::Of(core.Build()).Build())) << text_;
}

TEST_F(ForgedSnapshot, NotesInsideOfFourGigabytes) {
  for (const uint64_t bytes : {uint64_t{4} << 30, uint64_t{1} << 62, uint64_t{200} << 20}) {
    EXPECT_FALSE(PassesWithHeader(0, offsetof(Elf64_Phdr, p_filesz), bytes)) << bytes;
  }
}

TEST_F(ForgedSnapshot, NoteSizesInsideOfFourGigabytes) {
  const Bytes good = test::SmallCore().Build();
  uint64_t notes = 0;
  std::memcpy(&notes, good.data() + 64 + offsetof(Elf64_Phdr, p_offset), sizeof(notes));
  for (const uint64_t field : {uint64_t{0}, uint64_t{4}}) {
    Bytes core = good;
    test::Poke(core, notes + field, ~uint32_t{0});
    EXPECT_FALSE(Passes(RawSnapshot::Of(core).Build())) << field << "\n" << text_;
  }
}

TEST_F(ForgedSnapshot, NotAnElfInside) {
  EXPECT_FALSE(Passes(RawSnapshot::Of(Bytes(50'000)).Build())) << text_;
}

TEST_F(ForgedSnapshot, NoFramesAtAll) {
  RawSnapshot raw = RawSnapshot::Of({});
  EXPECT_FALSE(Passes(raw.Build()));
}

}  // namespace
}  // namespace kcoredump
