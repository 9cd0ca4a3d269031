// SPDX-License-Identifier: MIT
#include "inspect/file/files.h"

#include "support/fake_files.h"

namespace kcoredump {
namespace {

using test::FakeFiles;

constexpr uint64_t kOwner = 0xffff888000200000;
constexpr uint64_t kFiles = 0xffff888000210000;
constexpr uint64_t kFdtable = 0xffff888000220000;
constexpr uint64_t kPointers = 0xffff888000230000;
constexpr uint64_t kBits = 0xffff888000240000;
constexpr uint64_t kOpened = 0xffff888000250000;
constexpr uint64_t kOpenedDentry = 0xffff888000260000;
constexpr uint64_t kOpenedInode = 0xffff888000270000;
constexpr uint64_t kFs = 0xffff888000280000;

class FilesTest : public testing::Test {
 protected:
  FilesTest() {
    kernel_.Struct("fs_struct", 32, {{"root", 0, 16, "path"}, {"pwd", 16, 16, "path"}});
    kernel_.Struct("files_struct", 16, {{"fdt", 8}});
    kernel_.Struct("fdtable", 32, {{"max_fds", 0, 4}, {"fd", 8}, {"close_on_exec", 16}});
    kernel_.Task(kOwner, 7, "lab");
    kernel_.Word(kOwner + FakeFiles::kTaskFiles, kFiles);
    kernel_.Word(kOwner + FakeFiles::kTaskFs, kFs);
    for (const uint64_t path : {kFs, kFs + 16}) {
      kernel_.Word(path, FakeFiles::kRootMount + FakeFiles::kMnt);
      kernel_.Word(path + 8, FakeFiles::kRoot);
    }
    kernel_.Word(kFiles + 8, kFdtable);
    kernel_.Zero(kFdtable, 32);
    kernel_.Word(kFdtable, 64);
    kernel_.Word(kFdtable + 8, kPointers);
    kernel_.Word(kFdtable + 16, kBits);
    kernel_.Zero(kPointers, 64 * 8);
    kernel_.Zero(kBits, 8);
    kernel_.Dentry(kOpenedDentry, FakeFiles::kRoot, "opened", kOpenedInode);
    kernel_.Inode(kOpenedInode, 0100644, 99);
    kernel_.File(kOpened, FakeFiles::kRootMount, kOpenedDentry, kOpenedInode);
    kernel_.memory.PutValue<uint32_t>(kOpened + 48, 0100002);
    kernel_.Word(kOpened + 56, 5);
    kernel_.Word(kPointers + 3 * 8, kOpened);
    kernel_.Word(kBits, 1 << 3);
  }

  OpenFileList Walk() {
    auto walked = WalkOpenFiles(kernel_.sources(), 7);
    EXPECT_TRUE(walked.ok()) << (walked.ok() ? "" : walked.error().message);
    return walked.ok() ? std::move(walked.value()) : OpenFileList{};
  }

  FakeFiles kernel_;
};

TEST_F(FilesTest, TellsADescriptorAndTheDirectories) {
  const OpenFileList list = Walk();
  ASSERT_EQ(list.files.size(), 3U);
  EXPECT_EQ(list.files[0].role, "cwd");
  EXPECT_EQ(list.files[0].path, "/");
  const OpenFile& file = list.files[2];
  EXPECT_EQ(file.descriptor, 3U);
  EXPECT_EQ(file.path, "/opened");
  EXPECT_EQ(file.type, "regular");
  EXPECT_TRUE(file.readable && file.writable);
  EXPECT_EQ(file.flags, 02100002U);
  EXPECT_EQ(file.position, 5U);
  EXPECT_EQ(file.inode, 99U);
  EXPECT_FALSE(list.findings.incomplete);
}

TEST_F(FilesTest, ForgedCountsAreCapped) {
  kernel_.memory.PutValue<uint32_t>(kFdtable, 0xffffffff);
  const OpenFileList list = Walk();
  EXPECT_EQ(list.files.size(), 2U);  // nothing of the table's page can be read whole in a fake
  EXPECT_TRUE(list.findings.incomplete);
}

TEST_F(FilesTest, AWildFileKeepsItsNumber) {
  kernel_.Word(kPointers + 9 * 8, 0xdead000000000000);
  const OpenFileList list = Walk();
  ASSERT_EQ(list.files.size(), 4U);
  EXPECT_EQ(list.files[3].descriptor, 9U);
  EXPECT_EQ(list.files[3].path, "");
  EXPECT_TRUE(list.findings.incomplete);
}

TEST_F(FilesTest, AWildTableIsSaid) {
  kernel_.Word(kFiles + 8, 0xdead000000000000);
  const OpenFileList list = Walk();
  EXPECT_EQ(list.files.size(), 2U);
  EXPECT_TRUE(list.findings.incomplete);
}

TEST_F(FilesTest, AProcessThatHasExitedHasNone) {
  kernel_.Word(kOwner + FakeFiles::kTaskFiles, 0);
  const auto walked = WalkOpenFiles(kernel_.sources(), 7);
  ASSERT_FALSE(walked.ok());
  EXPECT_EQ(walked.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace kcoredump
