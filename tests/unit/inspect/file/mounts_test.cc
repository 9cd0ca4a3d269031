// SPDX-License-Identifier: MIT
#include "inspect/file/mounts.h"

#include "support/fake_files.h"

namespace kcoredump {
namespace {

using test::FakeFiles;

constexpr uint64_t kMountTask = 0xffff888000200000;
constexpr uint64_t kNsproxy = 0xffff888000210000;
constexpr uint64_t kNamespace = 0xffff888000220000;
constexpr uint64_t kMountDir = 0xffff888000230000;
constexpr uint64_t kSecondMount = 0xffff888000240000;  ///< struct mount
constexpr uint64_t kSecondRoot = 0xffff888000250000;
constexpr uint64_t kTypeAt = 0xffff888000260000;
constexpr uint64_t kTexts = 0xffff888000270000;
constexpr uint64_t kMountFs = 0xffff888000280000;
constexpr uint64_t kListAt = 8;  ///< in a mnt_namespace
constexpr uint64_t kLinks = 64;  ///< in a mount

class MountsTest : public testing::Test {
 protected:
  explicit MountsTest(bool paths = true) : kernel_(paths) {
    kernel_.Struct("nsproxy", 32, {{"mnt_ns", 24}});
    kernel_.Struct("fs_struct", 32, {{"root", 0, 16, "path"}, {"pwd", 16, 16, "path"}});
    kernel_.Struct("ns_common", 8, {{"inum", 0, 4}});
    kernel_.Struct("mnt_namespace", 32,
                   {{"ns", 0, 8, "ns_common"}, {"list", kListAt, 16, "list_head"}});
    kernel_.Task(kMountTask, 7, "lab");
    kernel_.Word(kMountTask + FakeFiles::kTaskNsproxy, kNsproxy);
    kernel_.Word(kMountTask + FakeFiles::kTaskFs, kMountFs);
    kernel_.Word(kMountFs, FakeFiles::kRootMount + FakeFiles::kMnt);
    kernel_.Word(kMountFs + 8, FakeFiles::kRoot);
    kernel_.Word(kNsproxy + 24, kNamespace);
    kernel_.Word(kNamespace, 4711);
    kernel_.Dentry(kMountDir, FakeFiles::kRoot, "mnt", 0);
    kernel_.Dentry(kSecondRoot, kSecondRoot, "/", 0);
    kernel_.Mount(kSecondMount, FakeFiles::kRootMount, kMountDir, kSecondRoot, 2);
    kernel_.memory.PutValue<uint32_t>(kSecondMount + FakeFiles::kMnt + 16,
                                      0x40 | 0x1 | 0x8 | 0x1000);
    kernel_.Zero(kTexts, 4096);
    kernel_.memory.Put(kTexts, std::string_view("/dev/vda\0ext4\0", 14));
    kernel_.Word(kSecondMount + 56, kTexts);
    kernel_.Word(FakeFiles::kSuper + 8, 1 | 0x10);
    kernel_.Word(FakeFiles::kSuper + 16, kTypeAt);
    kernel_.Word(kTypeAt, kTexts + 9);
    kernel_.Circle({kNamespace + kListAt, FakeFiles::kRootMount + kLinks, kSecondMount + kLinks});
  }

  MountList Walk() {
    auto walked = WalkMounts(kernel_.sources(), 7);
    EXPECT_TRUE(walked.ok()) << (walked.ok() ? "" : walked.error().message);
    return walked.ok() ? std::move(walked.value()) : MountList{};
  }

  FakeFiles kernel_;
};

TEST_F(MountsTest, TellsWhereFromAndHow) {
  const MountList list = Walk();
  ASSERT_EQ(list.mounts.size(), 2U);
  EXPECT_EQ(list.namespace_inode, 4711U);
  const MountInfo& mount = list.mounts[1];
  EXPECT_EQ(mount.id, 2U);
  EXPECT_EQ(mount.parent_id, 1U);
  EXPECT_EQ(mount.mount_point, "/mnt");
  EXPECT_EQ(mount.root, "/");
  EXPECT_EQ(mount.source, "/dev/vda");
  EXPECT_EQ(mount.type, "ext4");
  EXPECT_EQ(mount.options, (std::vector<std::string>{"ro", "nosuid", "noatime"}));
  EXPECT_EQ(mount.super_options, (std::vector<std::string>{"ro", "sync"}));
  EXPECT_EQ(mount.device_major, 8U);
  EXPECT_TRUE(mount.visible);
  EXPECT_FALSE(list.findings.incomplete);
}

class MountsWithoutPathsTest : public MountsTest {
 protected:
  MountsWithoutPathsTest() : MountsTest(false) {}
};

TEST_F(MountsWithoutPathsTest, AllButTheirPlacesIsTold) {
  const MountList list = Walk();
  ASSERT_EQ(list.mounts.size(), 2U);
  EXPECT_EQ(list.mounts[1].source, "/dev/vda");
  EXPECT_EQ(list.mounts[1].mount_point, "");
  ASSERT_FALSE(list.findings.notes.empty());
  EXPECT_NE(list.findings.notes[0].find("struct dentry"), std::string::npos);
  EXPECT_FALSE(list.findings.incomplete);
}

TEST_F(MountsTest, WhatTheProcessCannotReachIsHidden) {
  kernel_.Word(kMountFs, kSecondMount + FakeFiles::kMnt);
  kernel_.Word(kMountFs + 8, kSecondRoot);
  const MountList list = Walk();
  ASSERT_EQ(list.mounts.size(), 2U);
  EXPECT_FALSE(list.mounts[0].visible);
  EXPECT_TRUE(list.mounts[1].visible);
}

TEST_F(MountsTest, ACursorOfAReaderIsNoMount) {
  kernel_.memory.PutValue<uint32_t>(kSecondMount + FakeFiles::kMnt + 16, 0x10000000);
  EXPECT_EQ(Walk().mounts.size(), 1U);
}

TEST_F(MountsTest, ACircleEnds) {
  kernel_.Word(kSecondMount + kLinks, FakeFiles::kRootMount + kLinks);
  const MountList list = Walk();
  EXPECT_EQ(list.mounts.size(), 2U);
  EXPECT_FALSE(list.findings.notes.empty());
}

TEST_F(MountsTest, AMountThatCannotBeReadCostsItselfAlone) {
  kernel_.memory.Remove(FakeFiles::kRootMount, 128);
  const MountList list = Walk();
  ASSERT_EQ(list.mounts.size(), 1U);
  EXPECT_EQ(list.mounts[0].source, "/dev/vda");
  EXPECT_TRUE(list.findings.incomplete);
}

TEST_F(MountsTest, AWildFileSystemCostsWhatItTells) {
  kernel_.Word(kSecondMount + FakeFiles::kMnt + 8, 0xdead000000000000);
  const MountList list = Walk();
  ASSERT_EQ(list.mounts.size(), 2U);
  EXPECT_EQ(list.mounts[1].type, "");
  EXPECT_EQ(list.mounts[1].mount_point, "/mnt");
  EXPECT_TRUE(list.findings.incomplete);
}

TEST_F(MountsTest, AProcessThatHasExitedHasNone) {
  kernel_.Word(kMountTask + FakeFiles::kTaskNsproxy, 0);
  const auto walked = WalkMounts(kernel_.sources(), 7);
  ASSERT_FALSE(walked.ok());
  EXPECT_EQ(walked.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace kcoredump
