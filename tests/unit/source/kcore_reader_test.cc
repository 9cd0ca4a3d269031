// SPDX-License-Identifier: MIT
//
// KcoreReader over a file that stands for kcore, so that its headers can be moved under it.
#include "source/kcore_reader.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "source/kcore_source.h"
#include "support/elf_builder.h"
#include "support/files.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kPage;

std::unique_ptr<KcoreReader> Open(const test::MemoryFile& file,
                                  const std::string& blocks = "/none") {
  auto reader = KcoreReader::Create(file.Open(), PageFlagsReader("/none", kPage),
                                    MemoryBlocks(blocks), kPage);
  EXPECT_TRUE(reader.ok()) << (reader.ok() ? "" : reader.error().message);
  return reader.ok() ? std::move(reader.value()) : nullptr;
}

TEST(KcoreReader, ReadsByPhysicalAndVirtualAddress) {
  const test::MemoryFile file(test::SmallCore().Build());
  const auto reader = Open(file);
  Bytes out(2 * kPage);
  for (const Location at : {Location(PhysAddr{test::kHighRam}),
                            Location(VirtAddr{test::kDirectMap + test::kHighRam})}) {
    ASSERT_EQ(reader->ReadUpTo(at, out), static_cast<int64_t>(out.size()));
    EXPECT_EQ(out, test::SmallCoreBytes(test::kHighRam, out.size()));
  }
  EXPECT_EQ(reader->moves(), 0U);
}

TEST(KcoreReader, StopsAtTheEndOfASegmentAndKnowsNoGap) {
  const test::MemoryFile file(test::SmallCore().Build());
  const auto reader = Open(file);
  Bytes out(4 * kPage);
  EXPECT_EQ(reader->ReadUpTo(PhysAddr{test::kLowRam + test::kLowRamBytes - 10}, out), 10);
  EXPECT_EQ(reader->ReadUpTo(PhysAddr{0}, out), -ENXIO);
}

/// A memory hotplug adds program headers, and all contents move in the file (KERNEL-FACTS, 5).
TEST(KcoreReader, ReadsAgainWhenTheHeadersMoved) {
  test::MemoryFile file(test::SmallCore().Build());
  const auto reader = Open(file);
  test::ElfBuilder moved = test::SmallCore();
  for (uint64_t i = 0; i < 80; ++i) moved.AddRam(0x1000000 + i * 2 * kPage, kPage);
  file.Set(moved.Build());
  Bytes out(kPage);
  ASSERT_EQ(reader->ReadUpTo(PhysAddr{test::kHighRam}, out), static_cast<int64_t>(kPage));
  EXPECT_EQ(out, test::SmallCoreBytes(test::kHighRam, kPage));
  EXPECT_EQ(reader->moves(), 1U);
  ASSERT_EQ(reader->ReadUpTo(PhysAddr{0x1000000}, out), static_cast<int64_t>(kPage));
  EXPECT_EQ(out, test::MemoryBytes(0x1000000, kPage));
  EXPECT_EQ(reader->moves(), 1U);
}

TEST(KcoreReader, HeadersThatBecomeNonsenseAreAnErrorAndNotData) {
  test::MemoryFile file(test::SmallCore().Build());
  const auto reader = Open(file);
  file.Set(Bytes(100'000));
  Bytes out(kPage);
  EXPECT_EQ(reader->ReadUpTo(PhysAddr{test::kHighRam}, out), -EIO);
  file.Truncate(0);
  EXPECT_EQ(reader->ReadUpTo(PhysAddr{test::kHighRam}, out), -EIO);
}

TEST(KcoreReader, OfflineBlocksAreLabelledPageByPage) {
  const test::MemoryFile file(test::SmallCore().Build());
  const test::TempDir blocks;
  test::WriteFile(blocks.Path("block_size_bytes"), test::ToBytes("2000\n"));
  std::filesystem::create_directory(blocks.Path("memory129"));
  test::WriteFile(blocks.Path("memory129/state"), test::ToBytes("offline\n"));
  const auto reader = Open(file, blocks.path());
  std::vector<PageLabel> labels(4);
  reader->Label(PhysAddr{test::kHighRam}, labels);
  const PageLabel offline{.outcome = PageOutcome::kOffline};
  EXPECT_EQ(labels, (std::vector<PageLabel>{{}, {}, offline, offline}));
  labels.assign(1, {});
  reader->Label(PhysAddr{test::kHighRam + 2 * kPage}, labels);
  EXPECT_EQ(labels[0], offline);
}

/// vmalloc space may show what the descriptor read before: without a known page of zeros read first
/// (pagemap hides it here, or it is not in this file) there must be an error, never content.
TEST(KcoreReader, VmallocIsNotReadWithoutClearingTheKernelsBouncePage) {
  test::ElfBuilder elf;
  elf.AddLoad(test::LoadHeader(0xffffc90000000000, test::kNoPhys, kPage),
              test::RandomBytes(kPage, 1));
  elf.AddRam(test::kHighRam, kPage);
  const test::MemoryFile file(elf.Build());
  Bytes out(kPage);
  EXPECT_LT(Open(file)->ReadUpTo(VirtAddr{0xffffc90000000000}, out), 0);
}

TEST(KcoreReader, NotAnElfIsAnError) {
  const test::MemoryFile file(Bytes(1000));
  EXPECT_FALSE(KcoreReader::Create(file.Open(), PageFlagsReader("/none", kPage),
                                   MemoryBlocks("/none"), kPage)
                   .ok());
}

TEST(ExplainRefusal, NamesTheCauseAndTheCure) {
  const Error denied = ExplainRefusal("/proc/kcore", EPERM);
  EXPECT_EQ(denied.code, ErrorCode::kPermission);
  EXPECT_GT(denied.message.size(), 60U);
  EXPECT_EQ(ExplainRefusal("/proc/kcore", ENOENT).code, ErrorCode::kPermission);
  EXPECT_NE(ExplainRefusal("/proc/kcore", ENOENT).message.find("-f"), std::string::npos);
  EXPECT_EQ(ExplainRefusal("/proc/kcore", EIO).code, ErrorCode::kIo);
}

TEST(KcoreSource, IsKnownByItsName) {
  EXPECT_TRUE(KcoreSource::IsKcore("/proc/kcore"));
  const test::TempDir dir;
  test::WriteFile(dir.Path("kcore"), test::ToBytes("x"));
  EXPECT_FALSE(KcoreSource::IsKcore(dir.Path("kcore")));
  EXPECT_FALSE(KcoreSource::IsKcore("/no/such/kcore"));
}

}  // namespace
}  // namespace kcoredump
