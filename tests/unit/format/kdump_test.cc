// SPDX-License-Identifier: MIT
//
// kdump-compressed files: every kind of page, every version, split sets, and what is said of them.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "kcoredump/inspect.h"
#include "kernel/kernel_facts.h"
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
using test::OpenImage;
using test::ReadBack;
using test::ReadImage;

/// Every page of the dump must be what the builder put there, or be labelled as it is.
void ExpectContent(const std::string& path, const KdumpBuilder& dump) {
  const ReadBack all = ReadImage(path, 0, dump.max_pfn * kPage);
  for (uint64_t pfn = 0; pfn < dump.max_pfn; ++pfn) {
    const uint64_t at = pfn * kPage;
    const auto page = std::span(all.bytes).subspan(at, kPage);
    if (!dump.memory.contains(pfn)) {
      EXPECT_EQ(all.OutcomeAt(at), PageOutcome::kUnreadable) << pfn;
    } else if (dump.excluded.contains(pfn)) {
      EXPECT_EQ(all.OutcomeAt(at), PageOutcome::kExcluded) << pfn;
    } else {
      EXPECT_FALSE(IsHole(all.OutcomeAt(at))) << pfn;
      EXPECT_EQ(Bytes(page.begin(), page.end()), dump.PageContent(pfn)) << pfn;
    }
  }
}

TEST(Kdump, EveryKindOfPage) {
  const KdumpBuilder dump = test::SmallKdump();
  const MemoryFile file(dump.Build());
  ExpectContent(file.path(), dump);
  const PageCounts counts = OpenImage(file.path())->Counts().value();
  EXPECT_EQ(counts.direct, test::kSmallKdumpPages - 4);
  EXPECT_EQ(counts.excluded, 4U);
  EXPECT_EQ(counts.total(), test::kSmallKdumpPages);
}

TEST(Kdump, AnyAddressAndAnyLength) {
  const KdumpBuilder dump = test::SmallKdump();
  const MemoryFile file(dump.Build());
  for (const uint64_t at : {5 * kPage + 100, 18 * kPage - 1, 30 * kPage + 4095, 46 * kPage}) {
    for (const size_t bytes : {size_t{1}, size_t{17}, kPage, kPage + 1}) {
      Bytes pages;
      for (uint64_t pfn = at / kPage; pfn * kPage < at + bytes; ++pfn) {
        const Bytes page = dump.PageContent(pfn);
        pages.insert(pages.end(), page.begin(), page.end());
      }
      const auto from = pages.begin() + static_cast<ptrdiff_t>(at % kPage);
      const Bytes expected(from, from + static_cast<ptrdiff_t>(bytes));
      EXPECT_EQ(ReadImage(file.path(), at, bytes).bytes, expected) << at;
    }
  }
}

TEST(Kdump, WhatWasExcludedSaysSo) {
  const MemoryFile file(test::SmallKdump().Build());
  const ReadBack back = ReadImage(file.path(), 20 * kPage, 2 * kPage);
  EXPECT_EQ(back.report.counts.excluded, 2U);
  EXPECT_EQ(back.report.counts.holes(), 0U);
  ASSERT_NE(back.report.FirstHole(), nullptr);
  EXPECT_NE(DescribeHole(*back.report.FirstHole()).find("was excluded when it was dumped"),
            std::string::npos);
}

TEST(Kdump, EveryVersion) {
  for (const int32_t version : {1, 2, 3, 4, 5, 6}) {
    KdumpBuilder dump = test::SmallKdump();
    dump.version = version;
    if (version < 4) dump.notes.clear();
    dump.vmcoreinfo = "OSRELEASE=6.1.0-test\nPAGESIZE=4096\n";
    const MemoryFile file(dump.Build());
    ExpectContent(file.path(), dump);
    const auto source = OpenImage(file.path());
    EXPECT_EQ(source->Facts().version, static_cast<uint32_t>(version));
    EXPECT_EQ(VmcoreinfoText(*source),
              version < 3 ? std::string() : "OSRELEASE=6.1.0-test\nPAGESIZE=4096\n")
        << version;
  }
}

TEST(Kdump, AnotherVersionOrMachineIsNamed) {
  KdumpBuilder dump = test::SmallKdump();
  const auto error = [&] { return test::OpenError(MemoryFile(dump.Build()).path()); };
  dump.version = 7;
  EXPECT_NE(error().find("version 7"), std::string::npos) << error();
  dump.version = 0;
  EXPECT_NE(error().find("version 0"), std::string::npos) << error();
  dump.version = 0x06000000;
  EXPECT_NE(error().find("big-endian"), std::string::npos) << error();
  dump.version = 6;
  dump.machine = "i686";
  EXPECT_NE(error().find("32-bit"), std::string::npos) << error();
}

TEST(Kdump, MachineAndFacts) {
  KdumpBuilder dump = test::SmallKdump();
  dump.status |= test::kIncompleteFlag | test::kZstdFlag | 0x10;
  dump.machine = "aarch64";
  const MemoryFile file(dump.Build());
  const auto source = OpenImage(file.path());
  EXPECT_EQ(source->machine(), EM_AARCH64);
  const ImageFacts facts = source->Facts();
  EXPECT_EQ(facts.format, "kdump");
  EXPECT_EQ(facts.dump_level, 31U);
  EXPECT_EQ(facts.compression, (std::vector<std::string>{"zlib", "zstd"}));
  EXPECT_EQ(facts.flags, (std::vector<std::string>{"incomplete", "excluded-vmemmap"}));
  EXPECT_TRUE(facts.files.empty());
  EXPECT_EQ(facts.file_bytes, dump.Build().size());
}

TEST(Kdump, DescribeCountsPagesAndRegisterNotes) {
  const MemoryFile file(test::SmallKdump().Build());
  const auto info = Describe(file.path());
  ASSERT_TRUE(info.ok()) << info.error().message;
  EXPECT_EQ(info.value().format, "kdump");
  EXPECT_EQ(info.value().kernel_release, "6.1.0-test");
  EXPECT_EQ(info.value().register_notes, 1U);
  EXPECT_TRUE(info.value().complete);
  EXPECT_EQ(info.value().pages.excluded, 4U);
  const std::string text = ToText(info.value());
  EXPECT_NE(text.find("version 6, zlib, dump level 31"), std::string::npos) << text;
  EXPECT_NE(text.find("36 in the file, 4 excluded"), std::string::npos) << text;
}

TEST(Kdump, OneBitmapStandsForBoth) {
  KdumpBuilder dump;
  dump.max_pfn = 20000;  // more than half of a block's bits
  dump.one_bitmap = true;
  dump.AddMemory(1, 8, PageCodec::kZlib).AddMemory(19990, 10);
  const MemoryFile file(dump.Build());
  EXPECT_EQ(ReadImage(file.path(), 19995 * kPage, kPage).bytes,
            test::MemoryBytes(19995 * kPage, kPage));
  EXPECT_EQ(ReadImage(file.path(), 2 * kPage, kPage).bytes, test::MemoryBytes(2 * kPage, kPage));
  EXPECT_EQ(OpenImage(file.path())->Counts().value().direct, 18U);
}

/// Bitmaps of several of the blocks whose counts are kept.
TEST(Kdump, PagesFarApart) {
  KdumpBuilder dump;
  dump.max_pfn = 300'000;
  for (uint64_t pfn = 5; pfn + 40 < dump.max_pfn; pfn += 9'973) {
    dump.AddMemory(pfn, 33, PageCodec::kSnappy);
    dump.excluded.insert(pfn + 7);
  }
  const MemoryFile file(dump.Build());
  for (const uint64_t pfn : dump.memory) {
    const ReadBack page = ReadImage(file.path(), pfn * kPage, kPage);
    if (dump.excluded.contains(pfn)) {
      EXPECT_EQ(page.OutcomeAt(pfn * kPage), PageOutcome::kExcluded);
    } else {
      ASSERT_EQ(page.bytes, dump.PageContent(pfn)) << pfn;
    }
  }
}

TEST(Kdump, PhysBaseOfTheHeaderHelpsAnOldVmcoreinfo) {
  KdumpBuilder dump = test::SmallKdump();
  dump.phys_base = static_cast<uint64_t>(-0x1000000);
  const MemoryFile file(dump.Build());
  const auto facts = GatherKernelFacts(*OpenImage(file.path()));
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(facts.value().vmcoreinfo.Number("phys_base"), -0x1000000);
}

TEST(Kdump, BlocksAreAFewPagesAndEndWithTheMemory) {
  const MemoryFile file(test::SmallKdump().Build());
  const auto source = OpenImage(file.path());
  EXPECT_EQ(source->BlockAround(PhysAddr{18 * kPage + 5}), (Range{16 * kPage, 20 * kPage}));
  EXPECT_EQ(source->BlockAround(PhysAddr{2 * kPage}), (Range{1 * kPage, 4 * kPage}));
  EXPECT_TRUE(source->BlockAround(PhysAddr{12 * kPage}).empty());
}

TEST(Kdump, ThreadsReadOnTheirOwn) {
  const KdumpBuilder dump = test::SmallKdump();
  const MemoryFile file(dump.Build());
  const auto memory = Memory::Open(file.path());
  ASSERT_TRUE(memory.ok());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      auto reader = memory.value().NewReader();
      Bytes out(4 * kPage);
      for (int round = 0; round < 100; ++round) {
        ASSERT_TRUE(reader.value().Read(PhysAddr{24 * kPage}, out).ok());
        ASSERT_EQ(out, test::MemoryBytes(24 * kPage, 4 * kPage));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Kdump, ABadDestinationIsAnErrorAndNoSignal) {
  const MemoryFile file(test::SmallKdump().Build());
  const auto memory = Memory::Open(file.path());
  auto reader = memory.value().NewReader();
  std::byte* const nowhere = reinterpret_cast<std::byte*>(uintptr_t{0x1000});
  const auto report = reader.value().Read(PhysAddr{24 * kPage}, {nowhere, 100});
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kInvalidArgument);
}

/// makedumpfile ran out of disk: descriptors that were not written are zeros.
TEST(Kdump, WhatAnIncompleteDumpDidNotReachIsNoDamage) {
  KdumpBuilder dump = test::SmallKdump();
  dump.status |= test::kIncompleteFlag;
  dump.forge = [](uint64_t pfn, test::PageDesc& desc) {
    if (pfn >= 30) desc = {};
  };
  const MemoryFile file(dump.Build());
  const auto source = OpenImage(file.path());
  EXPECT_NE(source->IncompleteReason().find("incomplete"), std::string::npos);
  const PageCounts counts = source->Counts().value();
  EXPECT_EQ(counts.not_reached, 17U);  // 30 to 47 without 40
  EXPECT_EQ(counts.excluded, 4U);
  EXPECT_EQ(counts.total(), test::kSmallKdumpPages);
  const ReadBack back = ReadImage(file.path(), 28 * kPage, 4 * kPage);
  EXPECT_EQ(back.OutcomeAt(29 * kPage), PageOutcome::kDirect);
  EXPECT_EQ(back.OutcomeAt(30 * kPage), PageOutcome::kNotReached);
}

TEST(Kdump, ATornFileIsReadUpToTheTear) {
  const KdumpBuilder dump = test::SmallKdump();
  const Bytes bytes = dump.Build();
  const MemoryFile file{std::span<const std::byte>(bytes).first(bytes.size() - 100)};
  const auto source = OpenImage(file.path());
  EXPECT_NE(source->IncompleteReason().find("cut off"), std::string::npos);
  const ReadBack back = ReadImage(file.path(), 1 * kPage, 47 * kPage);
  EXPECT_EQ(back.OutcomeAt(46 * kPage), PageOutcome::kNotReached);
  EXPECT_FALSE(IsHole(back.OutcomeAt(17 * kPage)));
  const auto report = Verify(file.path(), test::OneThread());
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(report.value().complete);
  EXPECT_TRUE(report.value().damage.empty());
  EXPECT_GE(report.value().pages.not_reached, 1U);
}

class KdumpSplit : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const KdumpBuilder& dump) {
    test::WriteFile(dir_.Path(name), dump.Build());
    return dir_.Path(name);
  }
  std::string WritePart(const std::string& name, uint64_t begin, uint64_t end) {
    KdumpBuilder dump = whole_;
    dump.part = {begin, end};
    return Write(name, dump);
  }

  const KdumpBuilder whole_ = test::SmallKdump();
  test::TempDir dir_;
};

TEST_F(KdumpSplit, AnyFileOfTheSetOpensAllOfIt) {
  WritePart("c", 0, 20);
  WritePart("a", 20, 35);
  WritePart("b", 35, whole_.max_pfn);
  for (const char* name : {"a", "b", "c"}) {
    const std::string path = dir_.Path(name);
    ExpectContent(path, whole_);
    const auto source = OpenImage(path);
    EXPECT_EQ(source->path(), path);
    EXPECT_EQ(source->IncompleteReason(), "");
    EXPECT_EQ(source->Facts().files,
              (std::vector<std::string>{dir_.Path("c"), dir_.Path("a"), dir_.Path("b")}));
    EXPECT_EQ(source->Counts().value().direct, test::kSmallKdumpPages - 4);
  }
}

/// What makedumpfile makes of more parts than it can fill.
TEST_F(KdumpSplit, EmptyPartsTakeNoPageAway) {
  WritePart("all", 0, whole_.max_pfn);
  const std::string empty = WritePart("none", whole_.max_pfn, whole_.max_pfn);
  WritePart("none too", whole_.max_pfn, whole_.max_pfn);
  ExpectContent(empty, whole_);
  EXPECT_EQ(OpenImage(empty)->IncompleteReason(), "");
}

TEST_F(KdumpSplit, AMissingPartIsSaidAndItsPagesAreNotReached) {
  WritePart("first", 0, 20);
  const std::string last = WritePart("last", 35, whole_.max_pfn);
  const auto source = OpenImage(last);
  EXPECT_NE(source->IncompleteReason().find("0x0000000000014000 to 0x0000000000022fff"),
            std::string::npos)
      << source->IncompleteReason();
  const PageCounts counts = source->Counts().value();
  EXPECT_EQ(counts.not_reached, 13U);  // 20 to 34 without the excluded 20 and 21
  EXPECT_EQ(counts.excluded, 4U);
  EXPECT_EQ(counts.total(), test::kSmallKdumpPages);
  const ReadBack back = ReadImage(last, 18 * kPage, 20 * kPage);
  EXPECT_EQ(back.OutcomeAt(19 * kPage), PageOutcome::kDirect);
  EXPECT_EQ(back.OutcomeAt(20 * kPage), PageOutcome::kExcluded);
  EXPECT_EQ(back.OutcomeAt(22 * kPage), PageOutcome::kNotReached);
  EXPECT_EQ(back.OutcomeAt(35 * kPage), PageOutcome::kDirect);
}

TEST_F(KdumpSplit, OtherDumpsInTheFolderAreNotTakenIn) {
  const std::string first = WritePart("first", 0, 20);
  KdumpBuilder other = whole_;
  other.part = {20, whole_.max_pfn};
  other.excluded.insert(22);  // the same machine, another time
  Write("other time", other);
  other = whole_;
  other.part = {20, whole_.max_pfn};
  other.machine = "aarch64";
  Write("other machine", other);
  other = whole_;
  Write("not split", other);
  test::WriteFile(dir_.Path("noise"), test::RandomBytes(5000, 1));
  ASSERT_EQ(mkfifo(dir_.Path("pipe").c_str(), 0600), 0);
  EXPECT_NE(OpenImage(first)->IncompleteReason(), "");
  WritePart("second", 20, whole_.max_pfn);
  EXPECT_EQ(OpenImage(first)->IncompleteReason(), "");
}

TEST_F(KdumpSplit, CopiesOfAPartBringNothingNew) {
  WritePart("copy", 0, 20);
  const std::string first = WritePart("first", 0, 20);
  WritePart("overlapping", 10, whole_.max_pfn);
  WritePart("second", 20, whole_.max_pfn);
  const auto source = OpenImage(first);
  EXPECT_EQ(source->Facts().files, (std::vector<std::string>{first, dir_.Path("second")}));
  ExpectContent(first, whole_);
}

TEST_F(KdumpSplit, APathWithoutAFolder) {
  WritePart("first", 0, 20);
  WritePart("second", 20, whole_.max_pfn);
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(dir_.path());
  const std::string reason = OpenImage("first")->IncompleteReason();
  std::filesystem::current_path(before);
  EXPECT_EQ(reason, "");
}

}  // namespace
}  // namespace kcoredump
