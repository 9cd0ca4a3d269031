// SPDX-License-Identifier: MIT
//
// What the headers of kdump files that we write say, for readers that are not ours.
#include <gtest/gtest.h>

#include <cstring>

#include "format/kdump/format.h"
#include "kcoredump/capture.h"
#include "support/elf_builder.h"
#include "support/files.h"

namespace kcoredump {
namespace {

using test::Bytes;

constexpr uint64_t kNames = 0x40;  ///< init_uts_ns, in the image
constexpr const char* kUts[kUtsFields] = {"Linux",         "web1",   "6.1.0-test",
                                          "#1 SMP Debian", "x86_64", "(none)"};

class KdumpWriterTest : public testing::Test {
 protected:
  /// `names_at`: where utsname is in init_uts_ns.
  void SetCore(std::string_view vmcoreinfo, size_t names_at) {
    test::ElfBuilder core;
    core.AddNote("VMCOREINFO", 0, vmcoreinfo);
    core.AddAlias(test::kImageBase, test::kImagePhys, test::kImageBytes);
    Bytes memory(test::kHighRamBytes);
    const size_t at = test::kImagePhys - test::kHighRam + kNames + names_at;
    for (size_t field = 0; field < kUtsFields; ++field) {
      std::memcpy(memory.data() + at + field * kUtsBytes, kUts[field], std::strlen(kUts[field]));
    }
    core.AddLoad(test::LoadHeader(test::kDirectMap + test::kHighRam, test::kHighRam, memory.size()),
                 memory);
    test::WriteFile(dir_.Path("core"), core.Build());
  }

  std::vector<std::string> WrittenNames() {
    CaptureOptions options;
    options.source = dir_.Path("core");
    options.output = dir_.Path("out.kdump");
    options.format = "kdump";
    options.force = true;
    const auto report = Capture(options);
    EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().message);
    const Bytes file = test::ReadFile(options.output);
    KdumpMainHeader header;
    EXPECT_GE(file.size(), sizeof(header));
    if (file.size() >= sizeof(header)) std::memcpy(&header, file.data(), sizeof(header));
    std::vector<std::string> names;
    for (const auto& field : header.utsname) {
      names.emplace_back(field, strnlen(field, sizeof(field)));
    }
    return names;
  }

  const std::vector<std::string> all_{std::begin(kUts), std::end(kUts)};
  test::TempDir dir_;
};

constexpr char kInfo[] = "OSRELEASE=6.1.0-test\nPAGESIZE=4096\n";
constexpr char kInfoWithPlace[] =
    "OSRELEASE=6.1.0-test\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=ffffffff81000040\n";

TEST_F(KdumpWriterTest, UtsNameIsTheKernelsOwn) {
  SetCore(kInfoWithPlace, 0);
  EXPECT_EQ(WrittenNames(), all_);
}

TEST_F(KdumpWriterTest, UtsNameBehindAKref) {
  SetCore(kInfoWithPlace, 4);
  EXPECT_EQ(WrittenNames(), all_);
}

TEST_F(KdumpWriterTest, WithoutItsPlaceNothingThatReadersNeedIsEmpty) {
  SetCore(kInfo, 0);
  EXPECT_EQ(WrittenNames(),
            (std::vector<std::string>{"Linux", "", "6.1.0-test", "unknown", "x86_64", ""}));
}

TEST_F(KdumpWriterTest, WithoutVmcoreinfo) {
  SetCore("", 0);
  EXPECT_EQ(WrittenNames(),
            (std::vector<std::string>{"Linux", "", "unknown", "unknown", "x86_64", ""}));
}

TEST_F(KdumpWriterTest, WhatIsNoUtsNameIsNotTaken) {
  SetCore(kInfoWithPlace, 16);
  EXPECT_EQ(WrittenNames()[kUtsVersion], "unknown");
  SetCore("OSRELEASE=6.1.0-test\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=fffffffffffffff0\n", 0);
  EXPECT_EQ(WrittenNames()[kUtsVersion], "unknown");
}

}  // namespace
}  // namespace kcoredump
