// SPDX-License-Identifier: MIT
#include "base/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

#include "support/files.h"

namespace kcoredump {
namespace {

using test::Bytes;

TEST(OpenForReading, NamesThePathItCannotOpen) {
  const auto fd = OpenForReading("/no/such/file");
  ASSERT_FALSE(fd.ok());
  EXPECT_EQ(fd.error().code, ErrorCode::kNotFound);
  EXPECT_NE(fd.error().message.find("/no/such/file"), std::string::npos);
}

TEST(AppendFile, AppendsToWhatIsThere) {
  const test::MemoryFile file(test::ToBytes("world"));
  Bytes out = test::ToBytes("hello ");
  ASSERT_TRUE(AppendFile(file.path(), 5, out).ok());
  EXPECT_EQ(test::ToText(out), "hello world");
}

TEST(AppendFile, TooLongIsAnErrorAndLeavesTheBytesAlone) {
  const test::MemoryFile file(Bytes(200'000));
  Bytes out = test::ToBytes("kept");
  const Status status = AppendFile(file.path(), 100'000, out);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(test::ToText(out), "kept");
}

TEST(AppendFile, ReadsFilesOfProcWhoseSizeIsZero) {
  const auto text = ReadTextFile("/proc/self/status", 1 << 20);
  ASSERT_TRUE(text.ok());
  EXPECT_NE(text.value().find("Name:"), std::string::npos);
}

TEST(AppendFile, AFolderIsAnError) {
  const test::TempDir dir;
  EXPECT_FALSE(ReadTextFile(dir.path(), 100).ok());
}

TEST(PreadUpTo, StopsAtTheEndOfTheFile) {
  const test::MemoryFile file(test::ToBytes("abcdef"));
  Bytes out(10);
  const auto count = PreadUpTo(file.Open().get(), out, 2);
  ASSERT_TRUE(count.ok());
  EXPECT_EQ(count.value(), 4U);
  EXPECT_EQ(test::ToText(std::span(out).first(4)), "cdef");
}

TEST(PreadUpTo, AnOffsetNoFileHasIsAnErrorAndNothingWorse) {
  const test::MemoryFile file(test::ToBytes("abcdef"));
  Bytes out(1);
  EXPECT_FALSE(PreadUpTo(file.Open().get(), out, uint64_t{1} << 63).ok());
}

TEST(PreadExactly, AFileThatEndsTooEarlyIsCorrupt) {
  const test::MemoryFile file(test::ToBytes("abcdef"));
  Bytes out(10);
  const Status status = PreadExactly(file.Open().get(), out, 2);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(status.error().message.find("6 bytes too early"), std::string::npos)
      << status.error().message;
}

TEST(UniqueFd, ClosesOnceAndMoves) {
  const test::MemoryFile file(test::ToBytes("x"));
  UniqueFd first = file.Open();
  const int number = first.get();
  UniqueFd second(std::move(first));
  EXPECT_FALSE(first.valid());  // NOLINT: what a moved-from descriptor is, is the point
  EXPECT_EQ(second.get(), number);
  second.Reset();
  EXPECT_FALSE(second.valid());
  char byte = 0;
  EXPECT_EQ(pread(number, &byte, 1, 0), -1);
  EXPECT_EQ(errno, EBADF);
}

}  // namespace
}  // namespace kcoredump
