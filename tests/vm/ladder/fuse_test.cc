// SPDX-License-Identifier: MIT
//
// Sources that behave badly: FUSE files standing for kcore. Needs /dev/fuse and the right to mount.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "fuse_kcore.h"
#include "kcoredump/capture.h"
#include "kcoredump/inspect.h"
#include "kcoredump/memory.h"

namespace kcoredump::test {
namespace {

class FuseSource : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(mount_.mounted()) << "no FUSE mount here"; }
  void TearDown() override { unlink(output_.c_str()); }

  /// All of the file's memory through the library's public read.
  Result<ReadReport> ReadAll(const std::string& name) {
    auto memory = Memory::Open(mount_.File(name));
    if (!memory.ok()) return memory.error();
    auto reader = memory.value().NewReader();
    if (!reader.ok()) return reader.error();
    return reader.value().Read(PhysAddr{kFusePhys}, bytes_);
  }

  [[nodiscard]] bool PageIsRight(uint64_t page) const {
    for (size_t i = 0; i < kFusePageBytes; ++i) {
      if (bytes_[page * kFusePageBytes + i] != std::byte{FuseByte(page)}) return false;
    }
    return true;
  }

  FuseKcore mount_;
  std::vector<std::byte> bytes_ = std::vector<std::byte>(kFusePages * kFusePageBytes);
  std::string output_ = "/tmp/fuse-test-" + std::to_string(getpid()) + ".elf.zst";
};

TEST_F(FuseSource, EioMakesHolesOfJustThosePages) {
  const auto report = ReadAll("eio");
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().counts.direct, 0U);
  EXPECT_EQ(report.value().counts.retried, kFusePages - kBadPages);
  EXPECT_EQ(report.value().counts.unreadable, kBadPages);
  const PageRun* hole = report.value().FirstHole();
  ASSERT_NE(hole, nullptr);
  EXPECT_EQ(hole->first, Location(PhysAddr{kFusePhys + kFirstBadPage * kFusePageBytes}));
  EXPECT_EQ(hole->pages, kBadPages);
  EXPECT_EQ(hole->system_errno, EIO);
  for (uint64_t page = 0; page < kFusePages; ++page) {
    const bool bad = page >= kFirstBadPage && page < kFirstBadPage + kBadPages;
    EXPECT_EQ(PageIsRight(page), !bad) << "page " << page;
  }
}

TEST_F(FuseSource, ShortReadsJustGoOn) {
  const auto report = ReadAll("short");
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().counts.direct, kFusePages);
  for (uint64_t page = 0; page < kFusePages; ++page) EXPECT_TRUE(PageIsRight(page));
}

TEST_F(FuseSource, CaptureOfEioIsCompleteWithHoles) {
  CaptureOptions options;
  options.source = mount_.File("eio");
  options.output = output_;
  const auto report = Capture(options);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().status, CaptureStatus::kCompleteWithHoles);
  EXPECT_EQ(report.value().pages.unreadable, kBadPages);
  EXPECT_EQ(ExitStatus(report.value()), 3);
  auto memory = Memory::Open(output_);
  ASSERT_TRUE(memory.ok()) << memory.error().message;
  auto reader = memory.value().NewReader();
  ASSERT_TRUE(reader.ok());
  const auto back = reader.value().Read(PhysAddr{kFusePhys}, bytes_);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back.value().counts.unreadable, kBadPages);
  ASSERT_NE(back.value().FirstHole(), nullptr);
  EXPECT_EQ(back.value().FirstHole()->system_errno, EIO);
}

/// A capture of a source that stalls, which has to come back within some seconds.
class StalledFuseSource : public FuseSource {
 protected:
  Result<CaptureReport> CaptureOf(const std::string& source) {
    CaptureOptions options;
    options.source = source;
    options.output = output_;
    options.stall_timeout_seconds = 1.5;
    const auto start = std::chrono::steady_clock::now();
    auto report = Capture(options);
    const auto taken = std::chrono::steady_clock::now() - start;
    EXPECT_GT(taken, std::chrono::milliseconds(1400));
    EXPECT_LT(taken, std::chrono::seconds(15));
    return report;
  }
};

/// Headers and notes are read before any thread of the pipeline is there to be watched.
TEST_F(StalledFuseSource, HeadersThatNeverComeEndTheCapture) {
  const auto report = CaptureOf(mount_.File("mute"));
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kIo);
  EXPECT_NE(report.error().message.find("did not return within 1.5 s"), std::string::npos)
      << report.error().message;
  EXPECT_NE(access(output_.c_str(), F_OK), 0);
}

/// After a stall the source is not asked for anything more: here that would hang for ever.
TEST_F(StalledFuseSource, AStalledKcoreIsNotOpenedAgain) {
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  ASSERT_EQ(mount(mount_.File("late").c_str(), kKcorePath, nullptr, MS_BIND, nullptr), 0);
  const auto report = CaptureOf(kKcorePath);
  umount2(kKcorePath, MNT_DETACH);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().status, CaptureStatus::kPartial);
  EXPECT_NE(report.value().page_flags, PageFlagsState::kNotApplicable);
  EXPECT_NE(report.value().reason.find("did not return"), std::string::npos)
      << report.value().reason;
  unlink(report.value().output.c_str());
}

TEST_F(FuseSource, ReadThatNeverReturnsEndsAsPartialWithItsAddress) {
  CaptureOptions options;
  options.source = mount_.File("never");
  options.output = output_;
  options.stall_timeout_seconds = 1.5;
  const auto start = std::chrono::steady_clock::now();
  const auto report = Capture(options);
  const auto seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().status, CaptureStatus::kPartial);
  EXPECT_EQ(ExitStatus(report.value()), 5);
  EXPECT_NE(report.value().reason.find("0x0000000000100000"), std::string::npos)
      << report.value().reason;
  EXPECT_NE(report.value().reason.find("did not return within 1.5 s"), std::string::npos);
  EXPECT_GT(seconds, 1.4);
  EXPECT_LT(seconds, 15);
  EXPECT_EQ(report.value().output, output_ + ".partial");
  const auto info = Describe(report.value().output);
  ASSERT_TRUE(info.ok()) << info.error().message;
  EXPECT_FALSE(info.value().complete);
  EXPECT_TRUE(info.value().damage.empty());
  EXPECT_EQ(info.value().pages.not_reached, kFusePages);
  unlink(report.value().output.c_str());
}

}  // namespace
}  // namespace kcoredump::test
