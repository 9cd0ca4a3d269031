// SPDX-License-Identifier: MIT
#include "serve/mount_texts.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace kcoredump {
namespace {

using std::string_literals::operator""s;

TEST(ProcessText, IsAsProcHasIt) {
  Task task;
  task.comm = "sh";
  task.arguments = {"sh", "-c", "true"};
  EXPECT_EQ(ProcessText(task, ProcessTextKind::kComm), "sh\n");
  EXPECT_EQ(ProcessText(task, ProcessTextKind::kCommandLine), "sh\0-c\0true\0"s);
}

TEST(ProcessText, WithoutArguments) {
  EXPECT_EQ(ProcessText(Task(), ProcessTextKind::kCommandLine), "");
  EXPECT_EQ(ProcessText(Task(), ProcessTextKind::kComm), "\n");
}

TEST(ProcessText, HostileNamesReachNoTerminal) {
  Task task;
  task.comm = "\x1b]0;x\a/..\n\xff";
  task.arguments = {"\x1b[2J", "a\nb"};
  EXPECT_EQ(ProcessText(task, ProcessTextKind::kComm), "\\x1b]0;x\\x07/..\\x0a\\xff\n");
  EXPECT_EQ(ProcessText(task, ProcessTextKind::kCommandLine), "\\x1b[2J\0a\\x0ab\0"s);
}

TEST(MapsText, IsAsProcHasIt) {
  std::vector<Mapping> mappings(2);
  Mapping& text = mappings[0];
  text.start = 0x55d0c0a00000;
  text.end = 0x55d0c0a21000;
  text.readable = text.executable = text.deleted = true;
  text.offset = 0x1000;
  text.device_major = 8;
  text.device_minor = 0x12;
  text.inode = 131;
  text.name = "/bin/sh";
  Mapping& shared = mappings[1];
  shared.start = 0x400000;
  shared.end = 0x401000;
  shared.readable = shared.writable = shared.shared = true;
  EXPECT_EQ(MapsText(mappings),
            "55d0c0a00000-55d0c0a21000 r-xp 00001000 08:12 131                        "
            "/bin/sh (deleted)\n"
            "00400000-00401000 rw-s 00000000 00:00 0 \n");
}

TEST(MapsText, HostilePathsReachNoTerminalAndStayOneLine) {
  std::vector<Mapping> mappings(1);
  mappings[0].name = "/x\n\x1b[2J";
  const std::string text = MapsText(mappings);
  EXPECT_NE(text.find("/x\\x0a\\x1b[2J\n"), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

}  // namespace
}  // namespace kcoredump
