// SPDX-License-Identifier: MIT
//
// Captures with a base: what becomes a reference, and what must not.
#include <elf.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "elf/elf_core.h"
#include "format/snapshot/reader.h"
#include "kcoredump/capture.h"
#include "kcoredump/inspect.h"
#include "support/elf_builder.h"
#include "support/files.h"
#include "support/one_thread.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kPage;

constexpr uint64_t kZeroAt = test::kHighRam + 5 * kPage;

class IncrementalCapture : public ::testing::Test {
 protected:
  IncrementalCapture() : core_(test::SmallCore().Build()) {
    options_.source = dir_.Path("core");
    options_.frame_bytes = 16384;
    options_.threads = 2;
    options_.force = true;
    FillWithNoise(test::kLowRam, test::kLowRamBytes);
    FillWithNoise(test::kHighRam, test::kHighRamBytes);
    test::WriteFile(options_.source, core_);
  }
  CaptureReport Run(const std::string& output, const std::string& base = "") {
    options_.output = dir_.Path(output);
    options_.base = base.empty() ? "" : dir_.Path(base);
    auto report = Capture(options_);
    EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().message);
    return report.ok() ? std::move(report.value()) : CaptureReport{};
  }
  std::string Refusal(const std::string& output, const std::string& base) {
    options_.output = dir_.Path(output);
    options_.base = dir_.Path(base);
    const auto report = Capture(options_);
    return report.ok() ? "" : report.error().message;
  }
  /// What repeats itself packs into less than a reference, and a damaged copy of it may be as good.
  /// Two pages of a frame are left zero.
  void FillWithNoise(uint64_t phys, uint64_t bytes) {
    const auto elf = test::ParseElf(core_);
    ASSERT_TRUE(elf.ok());
    uint64_t state = phys;
    for (const ProgramHeader& header : elf.value().headers) {
      if (header.type != PT_LOAD || header.paddr != phys || header.filesz != bytes) continue;
      for (uint64_t at = 0; at < bytes; ++at) {
        state = state * 6364136223846793005 + 1442695040888963407;
        const bool zero = phys + at >= kZeroAt && phys + at < kZeroAt + 2 * kPage;
        core_[header.offset + at] = zero ? std::byte{0} : static_cast<std::byte>(state >> 56);
      }
    }
  }
  void ChangeLastPage() {
    core_.back() ^= std::byte{1};
    test::WriteFile(options_.source, core_);
  }
  /// The RAM inside, read by way of the library.
  Bytes Ram(const std::string& name) {
    auto memory = Memory::Open(dir_.Path(name));
    EXPECT_TRUE(memory.ok()) << (memory.ok() ? "" : memory.error().message);
    Bytes out(test::kLowRamBytes + test::kHighRamBytes);
    if (!memory.ok()) return out;
    auto reader = memory.value().NewReader();
    const auto low = std::span(out).first(test::kLowRamBytes);
    EXPECT_TRUE(reader.value().Read(PhysAddr{test::kLowRam}, low).ok());
    const auto high = std::span(out).subspan(test::kLowRamBytes);
    EXPECT_TRUE(reader.value().Read(PhysAddr{test::kHighRam}, high).ok());
    return out;
  }
  bool IsSound(const std::string& name) {
    const auto report = Verify(dir_.Path(name), test::OneThread());
    return report.ok() && report.value().complete && report.value().damage.empty();
  }

  test::TempDir dir_;
  CaptureOptions options_;
  Bytes core_;
};

TEST_F(IncrementalCapture, WhatChangedIsInItAndTheRestIsReferredTo) {
  const CaptureReport full = Run("old");
  ChangeLastPage();
  const CaptureReport now = Run("full");
  const CaptureReport report = Run("new", "old");
  EXPECT_EQ(report.status, CaptureStatus::kComplete);
  EXPECT_EQ(report.base, "old");
  EXPECT_GT(report.referenced_frames, 0U);
  EXPECT_LT(report.compressed_bytes, full.compressed_bytes);
  EXPECT_EQ(report.compressed_bytes, test::ReadFile(dir_.Path("new")).size());
  EXPECT_EQ(report.zero_pages, now.zero_pages);
  EXPECT_TRUE(report.warnings.empty());
  EXPECT_TRUE(IsSound("new"));
  EXPECT_EQ(Ram("new"), Ram("full"));
  EXPECT_NE(Ram("new"), Ram("old"));
}

TEST_F(IncrementalCapture, AConversionFoldsItIntoAWholeOne) {
  Run("old");
  ChangeLastPage();
  Run("new", "old");
  Run("full");
  const Bytes now = Ram("new");
  options_.source = dir_.Path("new");
  const CaptureReport folded = Run("folded");
  EXPECT_TRUE(folded.base.empty());
  std::filesystem::remove(dir_.Path("old"));
  EXPECT_TRUE(IsSound("folded"));
  EXPECT_EQ(Ram("folded"), now);
  EXPECT_EQ(Ram("folded"), Ram("full"));
}

TEST_F(IncrementalCapture, ABaseWithHashesGivesTheSameAndIsNotRead) {
  Run("old");
  const CaptureReport read = Run("new", "old");
  options_.hashes = true;
  Run("hashed");
  EXPECT_TRUE(IsSound("hashed"));
  // Damage that only reading it would show.
  const auto file = SnapshotFile::Open(dir_.Path("hashed"));
  ASSERT_TRUE(file.ok());
  Bytes bytes = test::ReadFile(dir_.Path("hashed"));
  const FrameSpan& last = file.value()->frames().back();
  bytes[last.file_offset + last.compressed_bytes / 2] ^= std::byte{1};
  test::WriteFile(dir_.Path("hashed"), bytes);
  EXPECT_EQ(Run("newer", "hashed").referenced_frames, read.referenced_frames);
  EXPECT_FALSE(IsSound("newer"));
}

TEST_F(IncrementalCapture, ADamagedFrameOfABaseThatIsReadIsNotReferredTo) {
  Run("old");
  const uint64_t before = Run("new", "old").referenced_frames;
  const auto file = SnapshotFile::Open(dir_.Path("old"));
  ASSERT_TRUE(file.ok());
  Bytes bytes = test::ReadFile(dir_.Path("old"));
  const FrameSpan& last = file.value()->frames().back();
  bytes[last.file_offset + last.compressed_bytes / 2] ^= std::byte{1};
  test::WriteFile(dir_.Path("old"), bytes);
  EXPECT_EQ(Run("newer", "old").referenced_frames, before - 1);
  EXPECT_TRUE(IsSound("newer"));
}

TEST_F(IncrementalCapture, ABaseOfABase) {
  Run("a");
  Run("b", "a");
  ChangeLastPage();
  const CaptureReport report = Run("c", "b");
  EXPECT_GT(report.referenced_frames, 0U);
  EXPECT_TRUE(IsSound("c"));
  Run("full");
  EXPECT_EQ(Ram("c"), Ram("full"));
}

/// A page that was left out is zeros that mean nothing; one that was read is zeros. The bytes are
/// the base's, and what they are the snapshot's own.
TEST_F(IncrementalCapture, ReferencesKeepTheOutcomesOfNow) {
  Run("old");
  options_.exclude = PageClasses(1);
  const CaptureReport excluded = Run("excluded", "old");
  EXPECT_EQ(excluded.pages.excluded, 2U);
  EXPECT_TRUE(IsSound("excluded"));
  options_.exclude = PageClasses();
  const CaptureReport back = Run("back", "excluded");
  EXPECT_EQ(back.pages.excluded, 0U);
  EXPECT_EQ(back.referenced_frames, excluded.referenced_frames);
  EXPECT_TRUE(IsSound("back"));
  const auto memory = Memory::Open(dir_.Path("excluded"));
  ASSERT_TRUE(memory.ok());
  Bytes page(kPage);
  const auto report = memory.value().NewReader().value().Read(PhysAddr{kZeroAt}, page);
  ASSERT_NE(report.value().FirstHole(), nullptr);
  EXPECT_EQ(report.value().FirstHole()->outcome, PageOutcome::kExcluded);
}

TEST_F(IncrementalCapture, ItsOwnBaseIsNotReplaced) {
  Run("old");
  Run("new", "old");
  const Bytes before = test::ReadFile(dir_.Path("old"));
  EXPECT_NE(Refusal("old", "old").find("is needed by what would replace it"), std::string::npos);
  EXPECT_NE(Refusal("old", "new").find("is needed by what would replace it"), std::string::npos);
  EXPECT_EQ(test::ReadFile(dir_.Path("old")), before);
}

TEST_F(IncrementalCapture, AConversionDoesNotReplaceItsBase) {
  Run("old");
  Run("new", "old");
  options_.source = dir_.Path("new");
  options_.output = dir_.Path("old");
  options_.base.clear();
  const auto report = Capture(options_);
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().message.find("is the base of"), std::string::npos);
  EXPECT_TRUE(IsSound("new"));
}

TEST_F(IncrementalCapture, APartialBaseIsNotReplacedByAnotherPartialFile) {
  Run("old");
  const Bytes whole = test::ReadFile(dir_.Path("old"));
  options_.source = dir_.Path("torn");
  test::WriteFile(options_.source, std::span(whole).first(whole.size() * 2 / 3));
  EXPECT_EQ(Run("new").output, dir_.Path("new.partial"));
  const Bytes before = test::ReadFile(dir_.Path("new.partial"));
  EXPECT_EQ(Run("new", "new.partial").output, dir_.Path("new.partial.2"));
  EXPECT_EQ(test::ReadFile(dir_.Path("new.partial")), before);
}

TEST_F(IncrementalCapture, BasesThatDoNotFitAreRefused) {
  Run("old");
  options_.frame_bytes = 32768;
  EXPECT_NE(Refusal("new", "old").find("leave --frame-size out"), std::string::npos);
  options_.frame_bytes = 0;
  EXPECT_EQ(Run("new", "old").frame_bytes, 16384U);
  EXPECT_NE(Refusal("new", "core").find("not a zstd file"), std::string::npos);
  EXPECT_NE(Refusal("new", "missing").find("missing: No such file"), std::string::npos);
  options_.format = "elf";
  EXPECT_NE(Refusal("new", "old").find("--base and --hashes are for snapshots"), std::string::npos);
}

/// "latest" is another one tomorrow.
TEST_F(IncrementalCapture, ALinkBesideTheBaseIsNotItsName) {
  Run("old");
  std::filesystem::create_symlink("old", dir_.Path("latest"));
  EXPECT_EQ(Run("new", "latest").base, "old");
  std::filesystem::remove(dir_.Path("latest"));
  EXPECT_TRUE(IsSound("new"));
}

TEST_F(IncrementalCapture, ADescriptorsNumberIsNoName) {
  Run("old");
  const auto fd = OpenForReading(dir_.Path("old"));
  ASSERT_TRUE(fd.ok());
  options_.output = dir_.Path("new");
  options_.base = "/dev/fd/" + std::to_string(fd.value().get());
  const auto report = Capture(options_);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().base, "old");
  EXPECT_TRUE(report.value().warnings.empty());
}

TEST_F(IncrementalCapture, BehindALinkOrADescriptorTheBaseIsBesideTheFileItself) {
  Run("old");
  Run("new", "old");
  std::filesystem::create_directory(dir_.Path("sub"));
  std::filesystem::create_symlink("../new", dir_.Path("sub/link"));
  EXPECT_TRUE(IsSound("sub/link"));
  const auto fd = OpenForReading(dir_.Path("new"));
  ASSERT_TRUE(fd.ok());
  const auto opened = Memory::Open("/dev/fd/" + std::to_string(fd.value().get()));
  EXPECT_TRUE(opened.ok()) << opened.error().message;
}

/// What cannot be opened must not be made.
TEST_F(IncrementalCapture, ABaseWithSixteenBasesIsRefused) {
  Run("0");
  for (int i = 1; i <= 16; ++i) Run(std::to_string(i), std::to_string(i - 1));
  EXPECT_TRUE(IsSound("16"));
  EXPECT_NE(Refusal("17", "16").find("has 16 bases already"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(dir_.Path("17")));
}

TEST_F(IncrementalCapture, AConversionKeepsWhenMemoryWasRead) {
  Run("old");
  const auto before = SnapshotFile::Open(dir_.Path("old"));
  ASSERT_TRUE(before.ok());
  options_.source = dir_.Path("old");
  Run("again");
  const auto after = SnapshotFile::Open(dir_.Path("again"));
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after.value()->trailer()->started_utc_ns, before.value()->trailer()->started_utc_ns);
  EXPECT_EQ(after.value()->trailer()->ended_utc_ns, before.value()->trailer()->ended_utc_ns);
}

TEST_F(IncrementalCapture, ABaseThatHasNothingOfItIsWarnedOf) {
  Run("old");
  for (std::byte& byte : core_) {
    if (&byte >= &core_[core_.size() - test::kHighRamBytes - test::kLowRamBytes])
      byte ^= std::byte{1};
  }
  test::WriteFile(options_.source, core_);
  const CaptureReport report = Run("new", "old");
  EXPECT_EQ(report.referenced_frames, 0U);
  ASSERT_EQ(report.warnings.size(), 1U);
  EXPECT_NE(report.warnings[0].find("nothing is the same in old"), std::string::npos);
}

TEST_F(IncrementalCapture, FoldingWithADamagedBaseSaysSo) {
  Run("old");
  Run("new", "old");
  const auto file = SnapshotFile::Open(dir_.Path("old"));
  ASSERT_TRUE(file.ok());
  Bytes bytes = test::ReadFile(dir_.Path("old"));
  const FrameSpan& last = file.value()->frames().back();
  bytes[last.file_offset + last.compressed_bytes / 2] ^= std::byte{1};
  test::WriteFile(dir_.Path("old"), bytes);
  options_.source = dir_.Path("new");
  const CaptureReport report = Run("folded");
  EXPECT_EQ(report.status, CaptureStatus::kCompleteWithHoles);
  ASSERT_EQ(report.warnings.size(), 1U);
  EXPECT_NE(report.warnings[0].find("pages are damaged in"), std::string::npos);
}

TEST_F(IncrementalCapture, ABaseInAnotherFolderIsWarnedOf) {
  Run("old");
  std::filesystem::create_directory(dir_.Path("sub"));
  const CaptureReport report = Run("sub/new", "old");
  ASSERT_EQ(report.warnings.size(), 1U);
  EXPECT_NE(report.warnings[0].find("its base is beside it, as old: copy or link it there from " +
                                    dir_.Path("old")),
            std::string::npos);
  EXPECT_FALSE(Memory::Open(dir_.Path("sub/new")).ok());
}

}  // namespace
}  // namespace kcoredump
