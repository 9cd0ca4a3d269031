// SPDX-License-Identifier: MIT
#include "inspect/file/file_path.h"

#include "support/fake_files.h"

namespace kcoredump {
namespace {

using test::FakeFiles;

constexpr uint64_t kDir = 0xffff888000200000;
constexpr uint64_t kName = 0xffff888000201000;
constexpr uint64_t kOther = 0xffff888000202000;
constexpr uint64_t kMount = 0xffff888000203000;
constexpr uint64_t kMountRoot = 0xffff888000204000;
constexpr uint64_t kNamedInode = 0xffff888000205000;

class FilePathTest : public testing::Test {
 protected:
  FilePathTest() {
    kernel_.Dentry(kDir, FakeFiles::kRoot, "tmp", 0);
    kernel_.Dentry(kName, kDir, "a file", kNamedInode);
    kernel_.Inode(kNamedInode, 0100644, 4711);
  }

  Result<FilePath> PathOf(uint64_t dentry, uint64_t mount = FakeFiles::kRootMount) {
    auto reader = PathReader::Create(kernel_.memory, kernel_.types(), kernel_.symbols());
    EXPECT_TRUE(reader.ok());
    return reader.value().PathOf(mount + FakeFiles::kMnt, dentry);
  }
  std::string TextOf(uint64_t dentry, uint64_t mount = FakeFiles::kRootMount) {
    const auto path = PathOf(dentry, mount);
    return path.ok() ? ProcText(path.value()) : "error: " + path.error().message;
  }

  FakeFiles kernel_;
};

TEST_F(FilePathTest, JoinsTheNamesOfItsDirectories) { EXPECT_EQ(TextOf(kName), "/tmp/a file"); }

TEST_F(FilePathTest, TheRootIsASlash) { EXPECT_EQ(TextOf(FakeFiles::kRoot), "/"); }

TEST_F(FilePathTest, GoesOnWhereItsMountStands) {
  kernel_.Mount(kMount, FakeFiles::kRootMount, kDir, kMountRoot, 2);
  kernel_.Dentry(kMountRoot, kMountRoot, "/", 0);
  kernel_.Dentry(kOther, kMountRoot, "inner", 0);
  EXPECT_EQ(TextOf(kOther, kMount), "/tmp/inner");
  EXPECT_EQ(TextOf(kMountRoot, kMount), "/tmp");
}

TEST_F(FilePathTest, WithoutAHashItIsDeleted) {
  kernel_.Unhash(kName);
  EXPECT_EQ(TextOf(kName), "/tmp/a file (deleted)");
}

TEST_F(FilePathTest, ANameMayStandOutsideOfItsDentry) {
  kernel_.memory.Put(kOther, "a name that is longer than what a dentry holds");
  kernel_.Word(kName + 40, kOther);
  kernel_.memory.PutValue<uint32_t>(kName + 36, 46);
  EXPECT_EQ(TextOf(kName), "/tmp/a name that is longer than what a dentry holds");
}

TEST_F(FilePathTest, FilesWithoutAPlaceAreNamedByTheirMaker) {
  kernel_.Dentry(kOther, kOther, "lab", kNamedInode);
  kernel_.NameMaker(kOther, "sockfs_dname", 0xffffffff82100000);
  EXPECT_EQ(TextOf(kOther), "socket:[4711]");
  kernel_.NameMaker(kOther, "pipefs_dname", 0xffffffff82110000);
  EXPECT_EQ(TextOf(kOther), "pipe:[4711]");
  kernel_.NameMaker(kOther, "anon_inodefs_dname", 0xffffffff82120000);
  EXPECT_EQ(TextOf(kOther), "anon_inode:lab");
  kernel_.NameMaker(kOther, "simple_dname", 0xffffffff82130000);
  EXPECT_EQ(TextOf(kOther), "/lab (deleted)");
}

TEST_F(FilePathTest, ANameOfAMissingInodeHasNoNumber) {
  kernel_.Dentry(kOther, kOther, "", 0x10);
  kernel_.NameMaker(kOther, "pipefs_dname", 0xffffffff82110000);
  EXPECT_EQ(TextOf(kOther), "pipe:[?]");
}

TEST_F(FilePathTest, ACircleOfDirectoriesIsAnError) {
  kernel_.Word(kDir + 24, kName);
  const auto path = PathOf(kName);
  ASSERT_FALSE(path.ok());
  EXPECT_EQ(path.error().code, ErrorCode::kCorrupt);
}

TEST_F(FilePathTest, ACircleOfMountsIsAnError) {
  kernel_.Mount(kMount, FakeFiles::kRootMount, FakeFiles::kRoot, kDir, 2);
  kernel_.Word(FakeFiles::kRootMount + 16, kMount);
  kernel_.Word(FakeFiles::kRootMount + 24, kDir);
  const auto path = PathOf(kName);
  ASSERT_FALSE(path.ok());
  EXPECT_EQ(path.error().code, ErrorCode::kCorrupt);
}

/// Each is 4,096 steps long, and there may be millions.
TEST_F(FilePathTest, CirclesDoNotCostHours) {
  kernel_.Word(kDir + 24, kName);
  kernel_.memory.PutValue<uint32_t>(kDir + 36, 0);
  kernel_.memory.PutValue<uint32_t>(kName + 36, 0);
  auto reader = PathReader::Create(kernel_.memory, kernel_.types(), kernel_.symbols());
  ASSERT_TRUE(reader.ok());
  const auto path = [&] {
    return reader.value().PathOf(FakeFiles::kRootMount + FakeFiles::kMnt, kName);
  };
  size_t paths = 0;
  while (paths < 10000 && path().error().code == ErrorCode::kCorrupt) ++paths;
  EXPECT_LT(paths, 10000U);
  EXPECT_EQ(path().error().code, ErrorCode::kLimitExceeded);
}

TEST_F(FilePathTest, WhatAnUnknownMakerNamesIsNotDeleted) {
  kernel_.Dentry(kOther, kOther, "dmabuf", kNamedInode);
  kernel_.NameMaker(kOther, "dmabuffs_dname", 0xffffffff82140000);
  EXPECT_EQ(TextOf(kOther), "/dmabuf");
}

TEST_F(FilePathTest, AForgedLengthIsAnError) {
  kernel_.memory.PutValue<uint32_t>(kName + 36, 0x7fffffff);
  ASSERT_FALSE(PathOf(kName).ok());
}

TEST_F(FilePathTest, AWildPointerIsAnError) {
  kernel_.Word(kDir + 24, 0xdead000000000100);
  const auto path = PathOf(kName);
  ASSERT_FALSE(path.ok());
  EXPECT_EQ(path.error().code, ErrorCode::kUnreadable);
}

}  // namespace
}  // namespace kcoredump
