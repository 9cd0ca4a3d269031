// SPDX-License-Identifier: MIT
#include "inspect/task/maps.h"

#include "support/fake_files.h"

namespace kcoredump {
namespace {

using test::FakeFiles;
using test::FakeMember;

constexpr uint64_t kMapsTask = 0xffff888000200000;
constexpr uint64_t kMm = 0xffff888000210000;
constexpr uint64_t kNode = 0xffff888000220000;
constexpr uint64_t kVmas = 0xffff888000230000;
constexpr uint64_t kFile = 0xffff888000240000;
constexpr uint64_t kDentry = 0xffff888000250000;
constexpr uint64_t kMappedInode = 0xffff888000260000;
constexpr uint64_t kVmaBytes = 128;
constexpr uint64_t kMapPage = 4096;

/// A process whose mappings stand on a list or, with `tree`, in a maple tree.
class MapsTest : public testing::TestWithParam<bool> {
 protected:
  explicit MapsTest(bool paths = true) : kernel_(paths) {
    if (GetParam()) {
      kernel_.Struct("maple_tree", 16, {{"ma_lock", 0, 4}, {"ma_flags", 4, 4}, {"ma_root", 8}});
      kernel_.Struct("maple_range_64", 256, {{"pivot", 8, 120}, {"slot", 128, 128}});
      kernel_.Struct("maple_arange_64", 256, {{"pivot", 8, 72}, {"slot", 80, 80}});
      kernel_.Struct("maple_node", 256, {{"all", 0, 256}});
    }
    const FakeMember root =
        GetParam() ? FakeMember{"mm_mt", 0, 16, "maple_tree"} : FakeMember{"mmap", 0};
    kernel_.Struct("mm_struct", 64, {root, {"start_brk", 16}, {"brk", 24}, {"start_stack", 32}});
    kernel_.Task(kMapsTask, 7, "lab");
    kernel_.Word(kMapsTask + FakeFiles::kTaskMm, kMm);
    kernel_.Zero(kMm, 64);
    kernel_.Dentry(kDentry, FakeFiles::kRoot, "library", kMappedInode);
    kernel_.Inode(kMappedInode, 0100755, 99);
    kernel_.File(kFile, FakeFiles::kRootMount, kDentry, kMappedInode);
  }

  void Vmas(bool with_files = true) {
    std::vector<FakeMember> members = {{"vm_start", 0},        {"vm_end", 8},    {"vm_next", 16},
                                       {"vm_flags", 24},       {"vm_pgoff", 32}, {"vm_ops", 40},
                                       {"vm_private_data", 48}};
    if (with_files) members.push_back({"vm_file", 56});
    kernel_.Struct("vm_area_struct", kVmaBytes, members);
  }
  static uint64_t Vma(uint64_t number) { return kVmas + number * kMapPage; }

  /// Mappings of a page each, every second page from 0x10000 on.
  void Put(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      kernel_.Zero(Vma(i), kVmaBytes);
      kernel_.Word(Vma(i), Start(i));
      kernel_.Word(Vma(i) + 8, Start(i) + kMapPage);
      kernel_.Word(Vma(i) + 16, i + 1 < count ? Vma(i + 1) : 0);
    }
    if (!GetParam()) return kernel_.Word(kMm, Vma(0));
    kernel_.Zero(kNode, 256);
    kernel_.Word(kMm + 8, kNode | 1 << 3 | 2);
    for (size_t i = 0; i < count; ++i) {
      kernel_.Word(kNode + 8 + 16 * i, Start(i) - 1);
      kernel_.Word(kNode + 16 + 16 * i, Start(i) + kMapPage - 1);
      kernel_.Word(kNode + 128 + 16 * i + 8, Vma(i));
    }
  }
  static uint64_t Start(size_t number) { return 0x10000 + number * 2 * kMapPage; }

  MappingList Walk() {
    auto walked = WalkMappings(kernel_.sources(), 7);
    EXPECT_TRUE(walked.ok()) << (walked.ok() ? "" : walked.error().message);
    return walked.ok() ? std::move(walked.value()) : MappingList{};
  }

  FakeFiles kernel_;
};

INSTANTIATE_TEST_SUITE_P(ListAndTree, MapsTest, testing::Bool());

class MapsWithoutPathsTest : public MapsTest {
 protected:
  MapsWithoutPathsTest() : MapsTest(false) {}
};
INSTANTIATE_TEST_SUITE_P(ListAndTree, MapsWithoutPathsTest, testing::Bool());

TEST_P(MapsWithoutPathsTest, AllButNamesIsTold) {
  Vmas();
  Put(2);
  kernel_.Word(Vma(0) + 56, kFile);
  const MappingList list = Walk();
  ASSERT_EQ(list.mappings.size(), 2U);
  EXPECT_EQ(list.mappings[0].file, kFile);
  EXPECT_EQ(list.mappings[0].name, "");
  ASSERT_FALSE(list.findings.notes.empty());
  EXPECT_NE(list.findings.notes[0].find("struct dentry"), std::string::npos);
  EXPECT_FALSE(list.findings.incomplete);
}

TEST_P(MapsTest, ListsMappingsWithFileHeapAndStack) {
  Vmas();
  Put(4);
  kernel_.Word(Vma(0) + 24, 0x1 | 0x4 | 0x80);
  kernel_.Word(Vma(0) + 32, 3);
  kernel_.Word(Vma(0) + 56, kFile);
  kernel_.Word(kMm + 16, Start(1));
  kernel_.Word(kMm + 24, Start(1) + 100);
  kernel_.Word(kMm + 32, Start(3) + 200);
  const MappingList list = Walk();
  ASSERT_EQ(list.mappings.size(), 4U);
  EXPECT_EQ(list.comm, "lab");
  const Mapping& file = list.mappings[0];
  EXPECT_EQ(file.start, Start(0));
  EXPECT_EQ(file.end, Start(0) + kMapPage);
  EXPECT_TRUE(file.readable && file.executable && file.shared && !file.writable);
  EXPECT_EQ(file.offset, 3 * kMapPage);
  EXPECT_EQ(file.name, "/library");
  EXPECT_EQ(file.inode, 99U);
  EXPECT_EQ(file.device_major, 8U);
  EXPECT_EQ(file.device_minor, 3U);
  EXPECT_EQ(list.mappings[1].name, "[heap]");
  EXPECT_EQ(list.mappings[2].name, "");
  EXPECT_EQ(list.mappings[3].name, "[stack]");
  EXPECT_FALSE(list.findings.incomplete);
}

TEST_P(MapsTest, AMappingThatCannotBeReadIsMissed) {
  Vmas();
  Put(3);
  kernel_.memory.Remove(Vma(1), kVmaBytes);
  const MappingList list = Walk();
  EXPECT_EQ(list.mappings.size(), GetParam() ? 2U : 1U);
  EXPECT_TRUE(list.findings.incomplete);
}

TEST_P(MapsTest, ACircleEnds) {
  Vmas();
  Put(3);
  kernel_.Word(Vma(2) + 16, Vma(0));
  const MappingList list = Walk();
  EXPECT_EQ(list.mappings.size(), 3U);
  EXPECT_EQ(list.findings.incomplete, !GetParam());
}

TEST_P(MapsTest, AWildFilePointerCostsTheName) {
  Vmas();
  Put(2);
  kernel_.Word(Vma(0) + 56, 0xdead000000000000);
  const MappingList list = Walk();
  ASSERT_EQ(list.mappings.size(), 2U);
  EXPECT_EQ(list.mappings[0].name, "");
  EXPECT_TRUE(list.findings.incomplete);
}

TEST_P(MapsTest, AKernelWithoutTheMemberSaysSo) {
  Vmas(false);
  Put(1);
  const MappingList list = Walk();
  ASSERT_EQ(list.mappings.size(), 1U);
  ASSERT_FALSE(list.findings.notes.empty());
  bool said = false;
  for (const std::string& note : list.findings.notes) {
    said = said || note.find("vm_file") != std::string::npos;
  }
  EXPECT_TRUE(said);
}

TEST_P(MapsTest, AMappingThatEndsBeforeItBeginsIsDamage) {
  Vmas();
  Put(2);
  kernel_.Word(Vma(0) + 8, 0x1000);
  EXPECT_EQ(Walk().mappings.size(), 1U);
}

TEST_P(MapsTest, KernelThreadsAndStrangersHaveNone) {
  Vmas();
  kernel_.memory.PutValue<uint32_t>(kMapsTask + FakeFiles::kTaskFlags, 0x00200000);
  const auto thread = WalkMappings(kernel_.sources(), 7);
  ASSERT_FALSE(thread.ok());
  EXPECT_EQ(thread.error().code, ErrorCode::kInvalidArgument);
  const auto nobody = WalkMappings(kernel_.sources(), 8);
  ASSERT_FALSE(nobody.ok());
  EXPECT_EQ(nobody.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace kcoredump
