// SPDX-License-Identifier: MIT
//
// Whole captures of small ELF cores, held against what plain zstd makes of them.
#include "kcoredump/capture.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>

#include "elf/elf_core.h"
#include "format/codec.h"
#include "format/snapshot/format.h"
#include "kcoredump/inspect.h"
#include "support/elf_builder.h"
#include "support/fake_source.h"
#include "support/files.h"
#include "support/one_thread.h"
#include "support/raw_snapshot.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kPage;

class CaptureTest : public ::testing::Test {
 protected:
  CaptureTest() {
    options_.source = dir_.Path("core");
    options_.output = dir_.Path("out");
    options_.frame_bytes = 16384;
    options_.threads = 2;
  }
  void SetSource(const Bytes& bytes) { test::WriteFile(options_.source, bytes); }
  CaptureReport Run() {
    auto report = Capture(options_);
    EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().message);
    return report.ok() ? std::move(report.value()) : CaptureReport{};
  }
  Bytes Unpacked(const std::string& path) {
    auto result = test::RunCommand("zstd -dcq '" + path + "'");
    EXPECT_EQ(result.status, 0);
    return std::move(result.output);
  }
  VerifyReport Verified(const std::string& path) {
    auto report = Verify(path, test::OneThread());
    EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().message);
    return report.ok() ? std::move(report.value()) : VerifyReport{};
  }
  Bytes ReadPhysical(const std::string& path, uint64_t at, size_t bytes) {
    auto memory = Memory::Open(path);
    EXPECT_TRUE(memory.ok()) << (memory.ok() ? "" : memory.error().message);
    Bytes out(bytes);
    if (!memory.ok()) return out;
    auto reader = memory.value().NewReader();
    auto report = reader.value().Read(PhysAddr{at}, out);
    EXPECT_TRUE(report.ok());
    if (report.ok()) last_read_ = std::move(report.value());
    return out;
  }

  test::TempDir dir_;
  CaptureOptions options_;
  ReadReport last_read_;
};

/// The bytes of every PT_LOAD, found by the headers in `core` alone.
Bytes LoadAt(const Bytes& core, uint64_t paddr, uint64_t vaddr) {
  const auto elf = test::ParseElf(core);
  if (!elf.ok()) return {};
  for (const ProgramHeader& header : elf.value().headers) {
    if (header.type != PT_LOAD || header.paddr != paddr || header.vaddr != vaddr) continue;
    const auto begin = core.begin() + static_cast<ptrdiff_t>(header.offset);
    return {begin, begin + static_cast<ptrdiff_t>(header.filesz)};
  }
  return {};
}

TEST_F(CaptureTest, PlainZstdGivesAnElfCoreWithEveryByte) {
  if (!test::HaveCommand("zstd")) GTEST_SKIP() << "no zstd here";
  SetSource(test::SmallCore().Build());
  const CaptureReport report = Run();
  EXPECT_EQ(report.status, CaptureStatus::kComplete);
  EXPECT_EQ(ExitStatus(report), 0);
  EXPECT_EQ(report.output, options_.output);
  const Bytes core = Unpacked(report.output);
  EXPECT_EQ(core.size(), report.plain_bytes);
  EXPECT_EQ(report.plain_bytes, report.expected_bytes);
  EXPECT_EQ(LoadAt(core, test::kLowRam, test::kDirectMap + test::kLowRam),
            test::SmallCoreBytes(test::kLowRam, test::kLowRamBytes));
  EXPECT_EQ(LoadAt(core, test::kHighRam, test::kDirectMap + test::kHighRam),
            test::SmallCoreBytes(test::kHighRam, test::kHighRamBytes));
  EXPECT_EQ(LoadAt(core, test::kImagePhys, test::kImageBase),
            test::SmallCoreBytes(test::kImagePhys, test::kImageBytes));
}

TEST_F(CaptureTest, TheFileIsAsLongAsTheReportSaysAndSound) {
  SetSource(test::SmallCore().Build());
  const CaptureReport report = Run();
  EXPECT_EQ(report.compressed_bytes, test::ReadFile(report.output).size());
  const VerifyReport verified = Verified(report.output);
  EXPECT_TRUE(verified.complete);
  EXPECT_TRUE(verified.damage.empty()) << ToText(verified);
  EXPECT_EQ(verified.plain_bytes, report.plain_bytes);
}

TEST_F(CaptureTest, CountsPages) {
  SetSource(test::SmallCore().Build());
  const CaptureReport report = Run();
  EXPECT_EQ(report.pages.direct, test::kSmallCorePages);
  EXPECT_EQ(report.pages.total(), test::kSmallCorePages);
  EXPECT_EQ(report.zero_pages, test::kZeroedBytes / kPage);
  EXPECT_TRUE(report.runs.empty());
  EXPECT_EQ(report.page_bytes, kPage);
}

TEST_F(CaptureTest, TheSameBytesForEveryFrameSizeLevelAndThreadCount) {
  if (!test::HaveCommand("zstd")) GTEST_SKIP() << "no zstd here";
  SetSource(test::SmallCore().Build());
  options_.force = true;
  for (const uint32_t frame_bytes : {kMinFrameBytes, 16384U, kMaxFrameBytes}) {
    for (const unsigned threads : {1U, 5U}) {
      for (const int level : {MinLevel(), 3}) {
        options_.frame_bytes = frame_bytes;
        options_.threads = threads;
        options_.level = level;
        const CaptureReport report = Run();
        ASSERT_EQ(report.status, CaptureStatus::kComplete);
        const Bytes core = Unpacked(report.output);
        EXPECT_EQ(LoadAt(core, test::kHighRam, test::kDirectMap + test::kHighRam),
                  test::SmallCoreBytes(test::kHighRam, test::kHighRamBytes));
      }
    }
  }
}

TEST_F(CaptureTest, WhatTheSourceLeavesOutIsExcludedAndNoFailure) {
  test::ElfBuilder core = test::SmallCore();
  Elf64_Phdr partial = test::LoadHeader(test::kDirectMap + 0x200000, 0x200000, 8 * kPage);
  partial.p_filesz = 2 * kPage;
  core.AddLoad(partial, test::MemoryBytes(0x200000, 2 * kPage));
  SetSource(core.Build());
  const CaptureReport report = Run();
  EXPECT_EQ(report.status, CaptureStatus::kComplete);
  EXPECT_EQ(ExitStatus(report), 0);
  EXPECT_EQ(report.pages.excluded, 6U);
  EXPECT_EQ(report.pages.holes(), 0U);
  EXPECT_EQ(report.pages.direct, test::kSmallCorePages + 2);
  EXPECT_EQ(report.pages.total(), test::kSmallCorePages + 8);
  EXPECT_EQ(report.runs,
            (std::vector<PageRun>{
                {.first = PhysAddr{0x202000}, .pages = 6, .outcome = PageOutcome::kExcluded}}));
  const Bytes out = ReadPhysical(report.output, 0x200000, 8 * kPage);
  EXPECT_EQ(last_read_.counts.excluded, 6U);
  EXPECT_EQ(Bytes(out.begin(), out.begin() + 2 * kPage), test::MemoryBytes(0x200000, 2 * kPage));
  EXPECT_TRUE(Verified(report.output).complete);

  // A capture of the capture says the same.
  options_.source = report.output;
  options_.output = dir_.Path("again");
  const CaptureReport again = Run();
  EXPECT_EQ(again.status, CaptureStatus::kComplete);
  EXPECT_EQ(again.runs, report.runs);
}

/// "Read, and all zero" (capture.h): a hole was not read, so it is no zero page.
TEST_F(CaptureTest, HolesAreNotCountedAsZeroPages) {
  test::ElfBuilder core = test::SmallCore();
  Elf64_Phdr excluded = test::LoadHeader(test::kDirectMap + 0x200000, 0x200000, 8 * kPage);
  excluded.p_filesz = 0;
  core.AddRaw(excluded);
  SetSource(core.Build());
  const CaptureReport report = Run();
  EXPECT_EQ(report.pages.excluded, 8U);
  EXPECT_EQ(report.zero_pages, test::kZeroedBytes / kPage);
}

TEST_F(CaptureTest, ATruncatedSourceIsCapturedWithHolesThatSayEnodata) {
  const Bytes core = test::SmallCore().Build();
  SetSource(Bytes(core.begin(), core.end() - 5 * kPage - 1));
  const CaptureReport report = Run();
  EXPECT_EQ(report.status, CaptureStatus::kCompleteWithHoles);
  EXPECT_EQ(report.pages.unreadable, 6U);
  EXPECT_EQ(report.pages.total(), test::kSmallCorePages);
  ASSERT_FALSE(report.runs.empty());
  const PageRun& hole = report.runs.back();
  EXPECT_EQ(hole, (PageRun{.first = PhysAddr{test::kHighRam + 10 * kPage},
                           .pages = 6,
                           .outcome = PageOutcome::kUnreadable,
                           .system_errno = ENODATA}));
  (void)ReadPhysical(report.output, test::kHighRam + 10 * kPage, kPage);
  ASSERT_NE(last_read_.FirstHole(), nullptr);
  EXPECT_EQ(last_read_.FirstHole()->system_errno, ENODATA);
  EXPECT_TRUE(Verified(report.output).complete);
}

TEST_F(CaptureTest, ASnapshotCapturedAgainKeepsContentAndHoles) {
  const Bytes core = test::SmallCore().Build();
  SetSource(Bytes(core.begin(), core.end() - kPage));
  const CaptureReport first = Run();
  options_.source = first.output;
  options_.output = dir_.Path("again");
  const CaptureReport again = Run();
  EXPECT_EQ(again.status, CaptureStatus::kCompleteWithHoles);
  EXPECT_EQ(again.pages.unreadable, 1U);
  EXPECT_EQ(again.runs.back().system_errno, ENODATA);
  EXPECT_EQ(ReadPhysical(again.output, test::kLowRam, test::kLowRamBytes),
            test::SmallCoreBytes(test::kLowRam, test::kLowRamBytes));
}

TEST_F(CaptureTest, ManyProgramHeaders) {
  static constexpr uint64_t kCount = 65'535;
  test::ElfBuilder core;
  core.AddNote("VMCOREINFO", 0, "PAGESIZE=4096\n");
  for (uint64_t i = 0; i < kCount; ++i) {
    Elf64_Phdr load = test::LoadHeader(test::kDirectMap + i * 0x3000, i * 0x3000, kPage);
    load.p_filesz = 0;
    core.AddRaw(load);
  }
  SetSource(core.Build());
  options_.frame_bytes = kMinFrameBytes;
  const CaptureReport report = Run();
  EXPECT_EQ(report.status, CaptureStatus::kComplete);
  EXPECT_EQ(report.pages.excluded, kCount);
  EXPECT_EQ(report.runs.size(), kCount);
  const auto info = Describe(report.output);
  ASSERT_TRUE(info.ok()) << info.error().message;
  EXPECT_EQ(info.value().segments.size(), kCount);
  EXPECT_TRUE(info.value().complete);
}

/// A snapshot with as many runs as a trailer can list, and some more holes behind them.
Bytes SnapshotWithTooManyHoles() {
  static constexpr uint64_t kFrame = kMaxFrameContentBytes;
  static constexpr uint64_t kListedBytes = kMaxTrailerRuns * kPage;
  test::ElfBuilder elf;
  Elf64_Phdr listed = test::LoadHeader(test::kDirectMap, 0, kListedBytes);
  listed.p_offset = kPage;
  elf.AddRaw(listed);
  for (const uint64_t phys : {2 * kListedBytes, 3 * kListedBytes}) {
    Elf64_Phdr absent = test::LoadHeader(test::kDirectMap + phys, phys, 100 * kPage);
    // Half a page of the image, which makes one hole with ENXIO, and the rest another, left out.
    absent.p_filesz = kPage / 2;
    elf.AddRaw(absent);
  }
  Bytes head = elf.Build();
  head.resize(kPage);
  test::RawSnapshot raw = test::RawSnapshot::Of(head);
  raw.AddFrame(Bytes(kFrame));
  for (uint64_t at = kFrame; at < kListedBytes; at += kFrame) {
    raw.frames.push_back(raw.frames.back());
    raw.entries.push_back(raw.entries.back());
    raw.frame_ms.push_back(0);
  }
  raw.trailer.plain_bytes += kListedBytes;
  raw.trailer.expected_bytes = raw.trailer.plain_bytes;
  for (uint64_t i = 0; i < kMaxTrailerRuns; ++i) {
    raw.trailer.runs.push_back(
        {.first = PhysAddr{i * kPage},
         .pages = 1,
         .outcome = i % 2 == 0 ? PageOutcome::kOffline : PageOutcome::kHwPoison});
  }
  return raw.Build();
}

/// More holes than a trailer lists end the capture; none of them may then pass for memory.
TEST_F(CaptureTest, TooManyHolesEndItAndNoneIsCalledRead) {
  SetSource(SnapshotWithTooManyHoles());
  options_.frame_bytes = kMaxFrameBytes;
  const CaptureReport report = Run();
  EXPECT_EQ(report.status, CaptureStatus::kPartial);
  EXPECT_EQ(ExitStatus(report), 5);
  EXPECT_EQ(report.pages.read(), 0U);
  EXPECT_GE(report.pages.not_reached, 100U);
  const VerifyReport verified = Verified(report.output);
  EXPECT_TRUE(verified.damage.empty()) << ToText(verified);
  EXPECT_EQ(verified.incomplete_reason, report.reason);
  EXPECT_EQ(verified.pages.read(), 0U);
}

/// The outcome map is not in the ELF core that a snapshot unpacks to.
TEST_F(CaptureTest, WhatAnUnpackedSnapshotDoesNotKnowIsSaid) {
  if (!test::HaveCommand("zstd")) GTEST_SKIP() << "no zstd here";
  SetSource(test::SmallCore().Build());
  const Bytes core = Unpacked(Run().output);
  test::WriteFile(options_.source, core);
  options_.output = dir_.Path("again");
  const CaptureReport report = Run();
  EXPECT_EQ(report.status, CaptureStatus::kComplete);
  EXPECT_FALSE(report.warnings.empty());
  for (const std::string& path : {options_.source, report.output}) {
    const auto info = Describe(path);
    ASSERT_TRUE(info.ok()) << info.error().message;
    EXPECT_FALSE(info.value().outcomes_known) << path;
    EXPECT_EQ(info.value().caveats.size(), 1U) << path;
  }
}

/// A torn snapshot cannot tell its holes from zeros: nor can what is captured from it, and so on.
TEST_F(CaptureTest, WhatATornSnapshotDoesNotKnowStaysUnknown) {
  SetSource(test::SmallCore().Build());
  const Bytes whole = test::ReadFile(Run().output);
  const size_t trailer = test::ToText(whole).find(kTrailerMagic);
  test::WriteFile(options_.source, std::span(whole).first(trailer));
  for (const char* name : {"first", "second"}) {
    options_.output = dir_.Path(name);
    const CaptureReport report = Run();
    EXPECT_EQ(report.status, CaptureStatus::kPartial);
    EXPECT_FALSE(report.warnings.empty());
    const auto info = Describe(report.output);
    ASSERT_TRUE(info.ok()) << info.error().message;
    EXPECT_FALSE(info.value().outcomes_known);
    EXPECT_EQ(info.value().caveats.size(), 1U);
    options_.source = report.output;
  }
}

TEST_F(CaptureTest, CancelledIsPartialAndSaysSo) {
  // 8 GiB that take no room: enough to be caught half-way on any machine.
  static constexpr uint64_t kStart = uint64_t{4} << 30;
  static constexpr uint64_t kPages = uint64_t{8} << 18;
  test::ElfBuilder core = test::SmallCore();
  Elf64_Phdr sparse = test::LoadHeader(test::kDirectMap + kStart, kStart, kPages * kPage);
  sparse.p_offset = 1 << 20;
  core.AddRaw(sparse);
  SetSource(core.Build());
  std::filesystem::resize_file(options_.source, sparse.p_offset + kPages * kPage);
  std::atomic<bool> cancel{false};
  options_.cancel = &cancel;
  options_.on_progress = [&](const CaptureProgress& progress) {
    if (progress.done_bytes > 200'000) cancel = true;
  };
  const CaptureReport report = Run();
  EXPECT_EQ(report.status, CaptureStatus::kPartial);
  EXPECT_EQ(report.reason, "interrupted");
  EXPECT_EQ(report.output, options_.output + ".partial");
  EXPECT_EQ(report.pages.total(), test::kSmallCorePages + kPages);
  EXPECT_GT(report.pages.not_reached, 0U);
  EXPECT_FALSE(std::filesystem::exists(options_.output));
  const VerifyReport verified = Verified(report.output);
  EXPECT_FALSE(verified.complete);
  EXPECT_EQ(verified.incomplete_reason, "interrupted");
  EXPECT_TRUE(verified.damage.empty()) << ToText(verified);
  (void)ReadPhysical(report.output, kStart + (kPages - 1) * kPage, kPage);
  EXPECT_EQ(last_read_.counts.not_reached, 1U);
}

/// What is left behind is "a valid snapshot of what was read", however early the end came.
TEST_F(CaptureTest, CancelledBeforeTheFirstBatchLeavesNothingThatCannotBeOpened) {
  SetSource(test::SmallCore().Build());
  const std::atomic<bool> cancel{true};
  options_.cancel = &cancel;
  const auto report = Capture(options_);
  if (!report.ok()) {
    EXPECT_EQ(report.error().code, ErrorCode::kCancelled) << report.error().message;
    EXPECT_EQ(dir_.List(), std::vector<std::string>{"core"});
    return;
  }
  EXPECT_EQ(report.value().status, CaptureStatus::kPartial);
  const auto info = Describe(report.value().output);
  EXPECT_TRUE(info.ok()) << info.error().message;
}

TEST_F(CaptureTest, AFullDiskLeavesAPartialThatIsSound) {
  test::ElfBuilder core = test::SmallCore();
  core.AddLoad(test::LoadHeader(test::kDirectMap + 0x1000000, 0x1000000, 1024 * kPage),
               test::RandomBytes(1024 * kPage, 5));
  SetSource(core.Build());
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit limit{2'500'000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  const sighandler_t handler = signal(SIGXFSZ, SIG_IGN);
  const CaptureReport report = Run();
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  EXPECT_EQ(report.status, CaptureStatus::kPartial);
  EXPECT_NE(report.reason.find("writing failed"), std::string::npos) << report.reason;
  EXPECT_EQ(report.output, options_.output + ".partial");
  EXPECT_LE(test::ReadFile(report.output).size(), 2'500'000U);
  EXPECT_GT(report.pages.read(), 200U);
  const VerifyReport verified = Verified(report.output);
  EXPECT_FALSE(verified.complete);
  EXPECT_TRUE(verified.damage.empty()) << ToText(verified);
  EXPECT_EQ(verified.pages.read(), report.pages.read());
  EXPECT_EQ(ReadPhysical(report.output, test::kLowRam, test::kLowRamBytes),
            test::SmallCoreBytes(test::kLowRam, test::kLowRamBytes));
}

TEST_F(CaptureTest, OptionsThatMakeNoSenseAreRefusedAndLeaveNothing) {
  SetSource(test::SmallCore().Build());
  const auto refused = [&](auto change) {
    CaptureOptions options = options_;
    change(options);
    const auto report = Capture(options);
    return !report.ok() && report.error().code == ErrorCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](CaptureOptions& o) { o.level = MaxLevel() + 1; }));
  EXPECT_TRUE(refused([](CaptureOptions& o) { o.level = MinLevel() - 1; }));
  EXPECT_TRUE(refused([](CaptureOptions& o) { o.frame_bytes = 1; }));
  EXPECT_TRUE(refused([](CaptureOptions& o) { o.frame_bytes = 5000; }));
  EXPECT_TRUE(refused([](CaptureOptions& o) { o.frame_bytes = 2 << 20; }));
  EXPECT_TRUE(refused([](CaptureOptions& o) { o.retries = kMaxRetries + 1; }));
  EXPECT_TRUE(refused([](CaptureOptions& o) { o.stall_timeout_seconds = 0; }));
  EXPECT_TRUE(refused([](CaptureOptions& o) { o.stall_timeout_seconds = -NAN; }));
  EXPECT_EQ(dir_.List(), std::vector<std::string>{"core"});
}

TEST_F(CaptureTest, ForgedSourcesAreRefusedAndLeaveNothing) {
  Bytes core = test::SmallCore().Build();
  test::Poke(core, 64 + 2 * 56 + offsetof(Elf64_Phdr, p_memsz), ~uint64_t{0});
  SetSource(core);
  EXPECT_FALSE(Capture(options_).ok());
  SetSource(test::ToBytes("\x1f\x8bsomething"));
  const auto stranger = Capture(options_);
  ASSERT_FALSE(stranger.ok());
  EXPECT_EQ(stranger.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(stranger.error().message.find("gunzip"), std::string::npos);
  EXPECT_EQ(dir_.List(), std::vector<std::string>{"core"});
}

TEST_F(CaptureTest, ProgressOnlyGrowsAndEndsAtTheTotal) {
  SetSource(test::SmallCore().Build());
  CaptureProgress last;
  options_.on_progress = [&](const CaptureProgress& progress) {
    EXPECT_GE(progress.done_bytes, last.done_bytes);
    EXPECT_GE(progress.phase, last.phase);
    last = progress;
  };
  (void)Run();
  EXPECT_EQ(last.phase, CapturePhase::kFinishing);
  EXPECT_EQ(last.done_bytes, last.total_bytes);
  EXPECT_NE(last.total_bytes, 0U);
}

}  // namespace
}  // namespace kcoredump
