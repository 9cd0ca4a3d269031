// SPDX-License-Identifier: MIT
#include "kcoredump/inspect.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "format/snapshot/format.h"
#include "support/elf_builder.h"
#include "support/files.h"
#include "support/one_thread.h"
#include "support/raw_snapshot.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::RawSnapshot;

ImageInfo Described(const Bytes& bytes) {
  const test::MemoryFile file(bytes);
  auto info = Describe(file.path());
  EXPECT_TRUE(info.ok()) << (info.ok() ? "" : info.error().message);
  return info.ok() ? std::move(info.value()) : ImageInfo{};
}

VerifyReport Verified(const Bytes& bytes) {
  const test::MemoryFile file(bytes);
  auto report = Verify(file.path(), test::OneThread());
  EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().message);
  return report.ok() ? std::move(report.value()) : VerifyReport{};
}

TEST(Describe, AnElfCore) {
  const ImageInfo info = Described(test::SmallCore().Build());
  EXPECT_EQ(info.format, "elf");
  EXPECT_EQ(info.architecture, "x86_64");
  EXPECT_EQ(info.kernel_release, "6.1.0-test");
  EXPECT_EQ(info.kaslr_offset, 0x1e00000U);
  EXPECT_EQ(info.total_pages, test::kSmallCorePages);
  EXPECT_FALSE(info.is_snapshot);
  ASSERT_EQ(info.segments.size(), 3U);
  EXPECT_EQ(info.segments[2].kind, SegmentKind::kKernelImage);
  EXPECT_EQ(info.segments[2].phys, test::kImagePhys);
  ASSERT_EQ(info.notes.size(), 2U);
  EXPECT_EQ(info.notes[1].owner, "VMCOREINFO");
}

TEST(Describe, ASnapshotWithHoles) {
  RawSnapshot raw = RawSnapshot::Of(test::SmallCore().Build());
  raw.trailer.counts = {.direct = 23, .unreadable = 1};
  raw.trailer.runs = {{.first = PhysAddr{0x1000}, .pages = 1, .outcome = PageOutcome::kRetried},
                      {.first = PhysAddr{0x2000},
                       .pages = 1,
                       .outcome = PageOutcome::kUnreadable,
                       .system_errno = EIO}};
  const ImageInfo info = Described(raw.Build());
  EXPECT_EQ(info.format, "snapshot");
  EXPECT_TRUE(info.complete);
  EXPECT_EQ(info.pages.unreadable, 1U);
  ASSERT_EQ(info.holes.size(), 1U);
  EXPECT_EQ(info.holes[0].first.address, 0x2000U);
  EXPECT_NE(ToText(info).find("EIO"), std::string::npos);
  const auto json = nlohmann::json::parse(ToJson(info));
  EXPECT_EQ(json["holes"][0]["errno"], "EIO");
  EXPECT_EQ(json["complete"], true);
}

TEST(Describe, OurOwnNotesByTheirName) {
  test::ElfBuilder core = test::SmallCore();
  Bytes vendor = test::NoteBytes("KCOREDUMP", 1, "{\"version\":\"9\"}");
  for (const Bytes& note :
       {test::NoteBytes("KCOREDUMP", 3, std::string_view("ext4\0\0\0\0btf", 11)),
        test::NoteBytes("KCOREDUMP", 8, "Linux version \x1b[31m6.1\n")}) {
    vendor.insert(vendor.end(), note.begin(), note.end());
  }
  Elf64_Phdr header{};
  header.p_type = kVendorSegmentType;
  header.p_filesz = vendor.size();
  core.AddLoad(header, vendor);
  const ImageInfo info = Described(RawSnapshot::Of(core.Build()).Build());
  EXPECT_EQ(info.meta_json, "{\"version\":\"9\"}");
  EXPECT_EQ(info.notes.at(3).name, "btf ext4");
  EXPECT_EQ(info.kernel_version, "Linux version \x1b[31m6.1");
  const std::string text = ToText(info);
  EXPECT_EQ(text.find('\x1b'), std::string::npos) << "a dump must not paint the terminal";
  EXPECT_NE(text.find("\\x1b[31m"), std::string::npos);
  EXPECT_NE(text.find("by kcoredump"), std::string::npos);
}

TEST(Describe, HostileTextIsEscapedEverywhere) {
  test::ElfBuilder core;
  core.AddNote("EV\x1bIL", 1, "x");
  core.AddNote("VMCOREINFO", 0, "OSRELEASE=6\x1b[2J\nKERNELOFFSET=zz\n");
  core.AddRam(0x1000, 0x1000);
  RawSnapshot raw = RawSnapshot::Of(core.Build());
  raw.trailer.complete = false;
  raw.trailer.reason = "because\x1b]0;\x07\xc2\x9b";
  const ImageInfo info = Described(raw.Build());
  EXPECT_EQ(info.kaslr_offset, std::nullopt);
  for (const std::string& text : {ToText(info), ToText(Verified(raw.Build()))}) {
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_EQ(text.find('\x07'), std::string::npos);
    EXPECT_EQ(text.find('\x9b'), std::string::npos);
  }
  EXPECT_EQ(nlohmann::json::parse(ToJson(info))["complete"], false);
}

TEST(Verify, ASoundSnapshot) {
  const Bytes core = test::SmallCore().Build();
  const VerifyReport report = Verified(RawSnapshot::Of(core).Build());
  EXPECT_TRUE(report.complete);
  EXPECT_TRUE(report.damage.empty());
  EXPECT_EQ(report.frames, (core.size() + 16383) / 16384);
  EXPECT_EQ(report.damaged_frames, 0U);
  EXPECT_EQ(report.plain_bytes, core.size());
  EXPECT_NE(ToText(report).find("sound"), std::string::npos);
}

TEST(Verify, NamesEveryDamagedFrameAndWhereItIs) {
  const RawSnapshot raw = RawSnapshot::Of(test::SmallCore().Build());
  Bytes bytes = raw.Build();
  size_t offset = raw.frames[0].size();
  bytes[offset + 20] ^= std::byte{0xff};
  const size_t third = offset + raw.frames[1].size() + raw.frames[2].size();
  bytes[third + raw.frames[3].size() - 1] ^= std::byte{0xff};
  const VerifyReport report = Verified(bytes);
  EXPECT_EQ(report.damaged_frames, 2U);
  ASSERT_EQ(report.damage.size(), 2U);
  EXPECT_EQ(report.damage[0].rfind("frame 1 (file offset ", 0), 0U) << report.damage[0];
  EXPECT_EQ(report.damage[1].rfind("frame 3 (file offset ", 0), 0U) << report.damage[1];
  EXPECT_NE(report.damage[1].find("image offset 0xc000"), std::string::npos) << report.damage[1];
  EXPECT_NE(ToText(report).find("DAMAGED"), std::string::npos);
  const auto json = nlohmann::json::parse(ToJson(report, "p"));
  EXPECT_EQ(json["sound"], false);
  EXPECT_EQ(json["damage"].size(), 2U);
}

TEST(Verify, NamesADamagedTrailerAndADamagedSeekTable) {
  const RawSnapshot raw = RawSnapshot::Of(test::SmallCore().Build());
  size_t frames = 0;
  for (const Bytes& frame : raw.frames) frames += frame.size();
  Bytes bytes = raw.Build();
  bytes[frames + 30] ^= std::byte{1};
  EXPECT_NE(Verified(bytes).damage.at(0).find("trailer"), std::string::npos);
  bytes = raw.Build();
  bytes[bytes.size() - 15] ^= std::byte{1};
  const VerifyReport table = Verified(bytes);
  EXPECT_NE(table.damage.at(0).find("seek table"), std::string::npos) << table.damage.at(0);
  EXPECT_FALSE(table.complete);
}

TEST(Verify, ManyThreadsFindTheSame) {
  RawSnapshot raw = RawSnapshot::Of(test::SmallCore().Build(), 512);
  raw.entries[100].checksum ^= 1;
  const test::MemoryFile file(raw.Build());
  uint64_t last = 0;
  VerifyOptions options;
  options.threads = 8;
  options.on_progress = [&](uint64_t done, uint64_t total) {
    EXPECT_GT(done, last);
    EXPECT_LE(done, total);
    last = done;
  };
  const auto report = Verify(file.path(), options);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report.value().damaged_frames, 1U);
  EXPECT_EQ(report.value().damage.size(), 1U);
  EXPECT_GT(last, 0U);
}

TEST(Verify, CanBeStopped) {
  const test::MemoryFile file(RawSnapshot::Of(test::SmallCore().Build()).Build());
  const std::atomic<bool> cancel{true};
  VerifyOptions options = test::OneThread();
  options.cancel = &cancel;
  const auto report = Verify(file.path(), options);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kCancelled);
}

TEST(Memory, ASecondReaderAndAMovedOneWork) {
  const test::MemoryFile file(RawSnapshot::Of(test::SmallCore().Build()).Build());
  auto memory = Memory::Open(file.path());
  ASSERT_TRUE(memory.ok());
  auto first = memory.value().NewReader();
  auto second = memory.value().NewReader();
  // The image lives as long as its last reader.
  { const Memory moved = std::move(memory.value()); }
  Bytes a(100);
  Bytes b(100);
  ASSERT_TRUE(first.value().Read(PhysAddr{0x1010}, a).ok());
  MemoryReader taken = std::move(second.value());
  ASSERT_TRUE(taken.Read(VirtAddr{test::kDirectMap + 0x1010}, b).ok());
  EXPECT_EQ(a, b);
  EXPECT_EQ(a, test::SmallCoreBytes(0x1010, 100));
}

}  // namespace
}  // namespace kcoredump
