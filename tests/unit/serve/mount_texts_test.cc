// SPDX-License-Identifier: MIT
#include "serve/mount_texts.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace kcoredump
