// SPDX-License-Identifier: MIT
#include "format/registry.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "support/elf_builder.h"
#include "support/files.h"
#include "support/kdump_builder.h"
#include "support/lime_builder.h"
#include "support/raw_snapshot.h"

namespace kcoredump {
namespace {

std::string Detected(const test::Bytes& content) {
  const test::MemoryFile file(content);
  const auto format = DetectFormat(file.path());
  if (format.ok()) return std::string(format.value()->name);
  EXPECT_EQ(format.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(format.error().message.find(file.path()), std::string::npos);
  return format.error().message;
}

TEST(DetectFormat, ByItsFirstBytes) {
  EXPECT_EQ(Detected(test::SmallCore().Build()), "elf");
  EXPECT_EQ(Detected(test::CompressedFrame(test::Bytes(100))), "snapshot");
  EXPECT_EQ(Detected(test::SmallKdump().Build()), "kdump");
  EXPECT_EQ(Detected(test::Flattened(test::SmallKdump().Build())), "flattened");
  EXPECT_EQ(Detected(test::LimeRange(0x1000, 0x2000)), "lime");
  EXPECT_EQ(Detected(test::AvmlBlock(0x1000, 0x2000)), "avml");
}

TEST(DetectFormat, StrangersAreNamed) {
  using namespace std::string_literals;
  EXPECT_NE(Detected(test::ToBytes("DISKDUMPxx")).find("diskdump"), std::string::npos);
  EXPECT_NE(Detected(test::ToBytes("QFI\xfb....")).find("qcow2"), std::string::npos);
  EXPECT_NE(Detected(test::ToBytes("PAGEDU64")).find("Windows"), std::string::npos);
  EXPECT_NE(Detected(test::ToBytes("\x1f\x8b\x08")).find("gunzip"), std::string::npos);
  EXPECT_NE(Detected(test::ToBytes("\xfd"
                                   "7zXZ\0"s))
                .find("unxz"),
            std::string::npos);
  EXPECT_NE(Detected({}).find("an empty file"), std::string::npos);
  // What is of no known kind may be raw memory: the message says what would open it.
  EXPECT_NE(Detected(test::ToBytes("hello")).find(".ranges.json"), std::string::npos);
  EXPECT_NE(Detected(test::Bytes(4096)).find("begins with zeros"), std::string::npos);
  EXPECT_NE(Detected(test::ToBytes("hello")).find("kdump"), std::string::npos);
}

TEST(DetectFormat, FoldersPipesAndNothing) {
  const test::TempDir dir;
  ASSERT_EQ(mkfifo(dir.Path("pipe").c_str(), 0600), 0);
  // Opening a pipe without a writer would wait for ever.
  EXPECT_EQ(DetectFormat(dir.Path("pipe")).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(DetectFormat(dir.path()).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(DetectFormat(dir.Path("none")).error().code, ErrorCode::kNotFound);
}

TEST(OpenSource, AnElfCoreTellsItsPageSizeAndMachine) {
  test::ElfBuilder core;
  core.header.e_machine = EM_AARCH64;
  core.AddNote("VMCOREINFO", 0, "OSRELEASE=6.1\nPAGESIZE=65536\n");
  core.AddRam(0x10000, 0x20000);
  const test::MemoryFile file(core.Build());
  const auto source = OpenSource(file.path());
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ(source.value()->page_bytes(), 65536U);
  EXPECT_EQ(source.value()->machine(), EM_AARCH64);
  EXPECT_EQ(source.value()->kind(), SourceKind::kElfCore);
  EXPECT_EQ(VmcoreinfoText(*source.value()), "OSRELEASE=6.1\nPAGESIZE=65536\n");
}

TEST(PageBytesFromNotes, NonsenseIsTheDefault) {
  const auto page_bytes = [](std::string_view text) {
    return PageBytesFromNotes(NoteSegment::Copy(test::NoteBytes("VMCOREINFO", 0, text)));
  };
  EXPECT_EQ(page_bytes("PAGESIZE=16384\n"), 16384U);
  EXPECT_EQ(page_bytes("A=1\nPAGESIZE=65536"), 65536U);
  EXPECT_EQ(page_bytes("XPAGESIZE=65536\n"), kDefaultPageBytes);
  for (const char* text :
       {"", "PAGESIZE=", "PAGESIZE=0\n", "PAGESIZE=-4096\n", "PAGESIZE=5000\n", "PAGESIZE=8192\n",
        "PAGESIZE=99999999999999999999\n", "PAGESIZE=1048576\n"}) {
    EXPECT_EQ(page_bytes(text), kDefaultPageBytes) << text;
  }
  EXPECT_EQ(PageBytesFromNotes(NoteSegment::Copy(test::RandomBytes(100, 1))), kDefaultPageBytes);
}

}  // namespace
}  // namespace kcoredump
