// SPDX-License-Identifier: MIT
#include "inspect/page/page_owner.h"

#include "support/fake_files.h"

namespace kcoredump {
namespace {

using test::FakeFiles;

constexpr uint64_t kOwnerTask = 0xffff888000900000;
constexpr uint64_t kOwnerMm = 0xffff888000910000;
constexpr uint64_t kAnonVma = 0xffff888000920000;
constexpr uint64_t kChains = 0xffff888000930000;
constexpr uint64_t kOwnerVma = 0xffff888000940000;
constexpr uint64_t kOwnedSpace = 0xffff888000950000;
constexpr uint64_t kOwnerDentry = 0xffff888000960000;
constexpr uint64_t kOwnerInode = 0xffff888000970000;
constexpr uint64_t kOwnerPgd = 0x77000;
constexpr uint64_t kOwnedStart = 0x400000;
constexpr uint64_t kOwnedPhys = 0x1234000;
constexpr uint64_t kChainNode = 16;  ///< in an anon_vma_chain

/// A process with one mapping, of anonymous pages and, at another time, of a file's.
class PageOwnerTest : public testing::Test {
 protected:
  PageOwnerTest() {
    kernel_.Struct("address_space", 16, {{"host", 0}, {"i_mmap", 8}});
    kernel_.Struct("anon_vma", 16, {{"rb_root", 0, 16}});
    kernel_.Struct("anon_vma_chain", 48, {{"vma", 0}, {"rb", kChainNode, 24, "rb_node"}});
    kernel_.Struct("vma_shared", 24, {{"rb", 0, 24, "rb_node"}});
    kernel_.Struct("vm_area_struct", 64,
                   {{"vm_start", 0},
                    {"vm_end", 8},
                    {"vm_mm", 16},
                    {"vm_pgoff", 24},
                    {"shared", 32, 24, "vma_shared"}});
    kernel_.Struct("mm_struct", 16, {{"pgd", 0}});
    kernel_.Task(kOwnerTask, 7, "lab");
    kernel_.Word(kOwnerTask + FakeFiles::kTaskMm, kOwnerMm);
    kernel_.Zero(kOwnerMm, 16);
    kernel_.Word(kOwnerMm, kOwnerPgd);
    kernel_.Zero(kOwnerVma, 64);
    kernel_.Word(kOwnerVma, kOwnedStart);
    kernel_.Word(kOwnerVma + 8, kOwnedStart + 0x3000);
    kernel_.Word(kOwnerVma + 16, kOwnerMm);
    kernel_.Word(kOwnerVma + 24, 5);
    kernel_.Zero(kAnonVma, 16);
    kernel_.Word(kAnonVma, kChains + kChainNode);
    for (const uint64_t chain : {kChains, kChains + 0x40}) {
      kernel_.Zero(chain, 48);
      kernel_.Word(chain, kOwnerVma);
      kernel_.Word(chain + kChainNode, 1);
    }
    kernel_.Zero(kOwnedSpace, 16);
    kernel_.Word(kOwnedSpace, kOwnerInode);
    kernel_.Inode(kOwnerInode, 0100644, 99);
    kernel_.Dentry(kOwnerDentry, FakeFiles::kRoot, "file", kOwnerInode);
    kernel_.Word(kOwnerInode + FakeFiles::kInodeAliases, kOwnerDentry + FakeFiles::kDentryAlias);
  }

  PageOwnerReader Reader() {
    sources_ = std::make_unique<TaskSources>(kernel_.sources());
    const auto translate = [this](uint64_t pgd, uint64_t address) -> std::optional<uint64_t> {
      if (pgd != kOwnerPgd || address != mapped_) return std::nullopt;
      return kOwnedPhys;
    };
    auto reader = PageOwnerReader::Create(*sources_, translate, findings_);
    EXPECT_TRUE(reader.ok()) << (reader.ok() ? "" : reader.error().message);
    return std::move(reader.value());
  }

  FakeFiles kernel_;
  std::unique_ptr<TaskSources> sources_;
  Findings findings_;
  uint64_t mapped_ = kOwnedStart + 0x1000;
};

TEST_F(PageOwnerTest, FindsWhoHasAnAnonymousPageMapped) {
  const auto mappers = Reader().AnonymousMappers(kAnonVma, 6, kOwnedPhys);
  ASSERT_EQ(mappers.size(), 1U);
  EXPECT_EQ(mappers[0].pid, 7U);
  EXPECT_EQ(mappers[0].comm, "lab");
  EXPECT_EQ(mappers[0].address, kOwnedStart + 0x1000);
  EXPECT_FALSE(findings_.incomplete);
}

TEST_F(PageOwnerTest, APageThatWasCopiedSinceIsNotMapped) {
  mapped_ = kOwnedStart;
  EXPECT_TRUE(Reader().AnonymousMappers(kAnonVma, 6, kOwnedPhys).empty());
}

TEST_F(PageOwnerTest, AnIndexBeyondTheMappingIsNotThere) {
  EXPECT_TRUE(Reader().AnonymousMappers(kAnonVma, 4, kOwnedPhys).empty());
  EXPECT_TRUE(Reader().AnonymousMappers(kAnonVma, ~uint64_t{0} >> 4, kOwnedPhys).empty());
}

TEST_F(PageOwnerTest, ACircleOfChainsEnds) {
  kernel_.Word(kChains + kChainNode + 8, kChains + 0x40 + kChainNode);
  kernel_.Word(kChains + 0x40 + kChainNode, kChains + kChainNode);
  kernel_.Word(kChains + 0x40 + kChainNode + 8, kChains + kChainNode);
  EXPECT_FALSE(Reader().AnonymousMappers(kAnonVma, 6, kOwnedPhys).empty());
  EXPECT_TRUE(findings_.incomplete);
}

TEST_F(PageOwnerTest, AWildTreeHasNobody) {
  kernel_.Word(kAnonVma, 0xdead000000000000);
  EXPECT_TRUE(Reader().AnonymousMappers(kAnonVma, 6, kOwnedPhys).empty());
  EXPECT_TRUE(findings_.incomplete);
}

TEST_F(PageOwnerTest, NamesTheFileOfAPage) {
  const auto file = Reader().FileAt(kOwnedSpace, 3);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file.value().path, "/file");
  EXPECT_EQ(file.value().inode, 99U);
  EXPECT_EQ(file.value().offset, 3 * 4096U);
}

TEST_F(PageOwnerTest, AWildInodeIsAnError) {
  kernel_.Word(kOwnedSpace, 0xdead000000000000);
  EXPECT_FALSE(Reader().FileAt(kOwnedSpace, 0).ok());
}

}  // namespace
}  // namespace kcoredump
