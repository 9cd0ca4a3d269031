// SPDX-License-Identifier: MIT
#include "serve/mount_folder.h"

#include <gtest/gtest.h>

#include "support/elf_builder.h"
#include "support/files.h"

namespace kcoredump {
namespace {

/// The folder of a small core without BTF: no processes.
class MountFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = MountFolder::Open(file_.path(), {"kcoredump", "mount"},
                                    [this](const std::string& note) { notes_.push_back(note); });
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    folder_ = std::move(opened.value());
  }
  uint64_t Inode(std::string_view name) {
    const auto inode = folder_->Lookup(kRootInode, name);
    EXPECT_TRUE(inode.ok()) << name;
    return inode.ok() ? inode.value() : 0;
  }

  test::MemoryFile file_{test::SmallCore().Build()};
  std::vector<std::string> notes_;
  std::unique_ptr<MountFolder> folder_;
};

TEST_F(MountFolderTest, EveryNameThatIsListedIsFound) {
  for (const std::string folder : {"", "btf"}) {
    const uint64_t parent = folder.empty() ? kRootInode : Inode(folder);
    const auto entries = folder_->List(parent);
    ASSERT_TRUE(entries.ok());
    EXPECT_FALSE(entries.value().empty());
    uint64_t last = 0;
    for (const FolderEntry& entry : entries.value()) {
      EXPECT_GT(entry.inode, last) << "a listing goes on by inodes";
      last = entry.inode;
      const auto found = folder_->Lookup(parent, entry.name);
      ASSERT_TRUE(found.ok()) << entry.name;
      EXPECT_EQ(found.value(), entry.inode);
      const auto facts = folder_->Facts(entry.inode);
      ASSERT_TRUE(facts.ok());
      EXPECT_EQ(facts.value().is_folder, entry.is_folder) << entry.name;
    }
  }
}

TEST_F(MountFolderTest, ForgedInodesAreNoFiles) {
  for (const uint64_t inode :
       {uint64_t{0}, uint64_t{12}, uint64_t{1} << 32, (uint64_t{1} << 32) + 7,
        (uint64_t{1} << 32) + 8, uint64_t{1} << 36, ~uint64_t{0}}) {
    EXPECT_FALSE(folder_->Facts(inode).ok()) << inode;
    EXPECT_FALSE(folder_->OpenFile(inode).ok()) << inode;
  }
  EXPECT_FALSE(folder_->OpenFile(kRootInode).ok());
  EXPECT_FALSE(folder_->Lookup(Inode("vmcore"), "comm").ok());
}

TEST_F(MountFolderTest, AFileHasAsManyBytesAsItSays) {
  for (const char* name : {"vmcore", "vmcore.kdump", "memory.raw", "memory.lime", "info.json"}) {
    const auto facts = folder_->Facts(Inode(name));
    ASSERT_TRUE(facts.ok());
    EXPECT_TRUE(facts.value().unchanging);
    const auto file = folder_->OpenFile(Inode(name));
    ASSERT_TRUE(file.ok()) << name;
    test::Bytes bytes(facts.value().bytes + 100);
    const auto count = file.value()->Read(0, bytes);
    ASSERT_TRUE(count.ok()) << name;
    EXPECT_EQ(count.value(), facts.value().bytes) << name;
    EXPECT_EQ(file.value()->bytes(), facts.value().bytes) << name;
    EXPECT_EQ(file.value()->Read(facts.value().bytes, bytes).value(), 0U);
    EXPECT_EQ(file.value()->Read(~uint64_t{0} - 5, bytes).value(), 0U);
  }
}

TEST_F(MountFolderTest, NotesAreToldOnce) {
  const auto before = notes_.size();
  folder_->TellNote("x");
  folder_->TellNote("x");
  EXPECT_EQ(notes_.size(), before + 1);
}

TEST_F(MountFolderTest, WhatCannotBeMadeIsAnErrorThatSaysWhy) {
  const auto vmlinux = folder_->Lookup(Inode("btf"), "vmlinux");
  ASSERT_TRUE(vmlinux.ok());
  const auto facts = folder_->Facts(vmlinux.value());
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(facts.value().bytes, 0U);
  const auto file = folder_->OpenFile(vmlinux.value());
  ASSERT_FALSE(file.ok());
  EXPECT_NE(file.error().message.find("BTF"), std::string::npos) << file.error().message;
  EXPECT_FALSE(folder_->List(Inode("proc")).ok());
}

TEST(MountFolder, MemoryAtTheTopOfAllAddressesMakesNoRawFile) {
  test::ElfBuilder elf;
  elf.AddRaw(test::LoadHeader(test::kDirectMap, uint64_t{1} << 63, 16 * test::kPage));
  const test::MemoryFile file(elf.Build());
  const auto folder = MountFolder::Open(file.path(), {}, nullptr);
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  const auto raw = folder.value()->Lookup(kRootInode, "memory.raw");
  ASSERT_TRUE(raw.ok());
  EXPECT_EQ(folder.value()->Facts(raw.value()).value().bytes, 0U);
  const auto opened = folder.value()->OpenFile(raw.value());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kLimitExceeded);
}

}  // namespace
}  // namespace kcoredump
