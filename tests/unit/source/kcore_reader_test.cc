// SPDX-License-Identifier: MIT
//
// KcoreReader over a file that stands for kcore, so that its headers can be moved under it.
#include "source/kcore_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "source/kcore_source.h"
#include "support/elf_builder.h"
#include "support/fake_source.h"
#include "support/files.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kPage;

std::unique_ptr<KcoreReader> Open(const test::MemoryFile& file,
                                  const std::string& blocks = "/none") {
  auto reader = KcoreReader::Create(file.Open(), {}, MemoryBlocks::Open(blocks).value(), kPage);
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

/// As many headers as before, which contradict each other: the old map must not outlive them.
TEST(KcoreReader, AMapThatCannotBeMadeAnewIsNotReadByEither) {
  const auto core = [](uint64_t second_ram) {
    test::ElfBuilder elf;
    elf.AddRam(test::kLowRam, 4 * kPage);
    elf.AddRam(second_ram, 4 * kPage);
    return elf.Build();
  };
  test::MemoryFile file(core(test::kHighRam));
  const auto reader = Open(file);
  file.Set(core(test::kLowRam + kPage));
  Bytes out(kPage);
  for (int attempt = 0; attempt < 3; ++attempt) {
    EXPECT_EQ(reader->ReadUpTo(PhysAddr{test::kHighRam}, out), -EIO);
  }
  file.Set(core(test::kLowRam + 8 * kPage));
  ASSERT_EQ(reader->ReadUpTo(PhysAddr{test::kLowRam + 8 * kPage}, out),
            static_cast<int64_t>(kPage));
  EXPECT_EQ(out, test::MemoryBytes(test::kLowRam + 8 * kPage, kPage));
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
  EXPECT_FALSE(KcoreReader::Create(file.Open(), {}, {}, kPage).ok());
}

TEST(ExplainRefusal, NamesTheCauseAndTheCure) {
  const Error denied = ExplainRefusal("/proc/kcore", EPERM);
  EXPECT_EQ(denied.code, ErrorCode::kPermission);
  EXPECT_GT(denied.message.size(), 60U);
  EXPECT_EQ(ExplainRefusal("/proc/kcore", ENOENT).code, ErrorCode::kPermission);
  EXPECT_NE(ExplainRefusal("/proc/kcore", ENOENT).message.find("-f"), std::string::npos);
  EXPECT_EQ(ExplainRefusal("/proc/kcore", EIO).code, ErrorCode::kIo);
}

class KcoreSourceTest : public ::testing::Test {
 protected:
  /// kcore and, beside it, its kpageflags, as files.
  KcoreSourceTest() {
    test::WriteFile(dir_.Path("kcore"), test::SmallCore().Build());
    test::WriteFile(flags(), Bytes((test::kHighRam + test::kHighRamBytes) / kPage * 8));
  }
  [[nodiscard]] std::string flags() const { return dir_.Path("kpageflags"); }
  [[nodiscard]] KcoreSource Source() const {
    ElfCore core = test::ParseElf(test::SmallCore().Build()).value();
    MemoryMap map = MemoryMap::Build(core, MemoryMap::Dialect::kKcore, kPage).value();
    return {dir_.Path("kcore"), kPage, std::move(core), std::move(map), {}};
  }
  test::TempDir dir_;
};

TEST_F(KcoreSourceTest, APageFlagsFileThatAnsweredMustGoOnAnswering) {
  const KcoreSource source = Source();
  EXPECT_TRUE(source.NewReader().ok());
  std::filesystem::remove(flags());
  const auto reader = source.NewReader();
  ASSERT_FALSE(reader.ok());
  EXPECT_NE(reader.error().message.find(flags()), std::string::npos) << reader.error().message;
}

TEST_F(KcoreSourceTest, APageFlagsFileThatNeverAnsweredIsACaveat) {
  std::filesystem::remove(flags());
  const KcoreSource source = Source();
  EXPECT_FALSE(source.labels_known());
  ASSERT_FALSE(source.Caveats().empty());
  EXPECT_NE(source.Caveats()[0].find("No such file"), std::string::npos) << source.Caveats()[0];
  EXPECT_TRUE(source.NewReader().ok());
}

TEST(KcoreSource, IsKnownByItsFileSystem) {
  EXPECT_TRUE(KcoreSource::IsKcore("/proc/kcore"));
  const test::TempDir dir;
  test::WriteFile(dir.Path("kcore"), test::ToBytes("x"));
  EXPECT_FALSE(KcoreSource::IsKcore(dir.Path("kcore")));
  EXPECT_FALSE(KcoreSource::IsKcore("/no/such/kcore"));
  EXPECT_FALSE(KcoreSource::IsKcore("/proc"));
}

/// /dev/core is one. Any file of procfs stands for kcore here, which is not to be had everywhere.
TEST(KcoreSource, IsKnownThroughLinksAndDescriptors) {
  const test::TempDir dir;
  std::filesystem::create_symlink("/proc/version", dir.Path("core"));
  std::filesystem::create_symlink("core", dir.Path("vmcore"));
  EXPECT_TRUE(KcoreSource::IsKcore(dir.Path("core")));
  EXPECT_TRUE(KcoreSource::IsKcore(dir.Path("vmcore")));
  const UniqueFd fd(open("/proc/version", O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(KcoreSource::IsKcore("/dev/fd/" + std::to_string(fd.get())));
  const test::MemoryFile file(test::SmallCore().Build());
  EXPECT_FALSE(KcoreSource::IsKcore(file.path()));
}

}  // namespace
}  // namespace kcoredump
