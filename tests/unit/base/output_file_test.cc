// SPDX-License-Identifier: MIT
#include "base/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "support/files.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::TempDir;
using Names = std::vector<std::string>;

std::unique_ptr<ByteSink> Create(const std::string& path, bool force = false) {
  auto sink = CreateOutputFile(path, force);
  EXPECT_TRUE(sink.ok()) << (sink.ok() ? "" : sink.error().message);
  return sink.ok() ? std::move(sink.value()) : nullptr;
}

/// A full disk for this process alone: writes beyond `bytes` give EFBIG.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    handler_ = signal(SIGXFSZ, SIG_IGN);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  sighandler_t handler_ = SIG_DFL;
};

TEST(OutputFile, AppearsUnderItsNameOnlyWhenPublished) {
  const TempDir dir;
  const auto sink = Create(dir.Path("out"));
  ASSERT_TRUE(sink->Write(test::ToBytes("content")).ok());
  ASSERT_TRUE(sink->Flush().ok());
  const Names before = dir.List();
  ASSERT_EQ(before.size(), 1U);
  EXPECT_TRUE(before[0].starts_with(".out.") && before[0].ends_with(".tmp")) << before[0];
  const auto published = sink->Publish(true);
  ASSERT_TRUE(published.ok());
  EXPECT_EQ(published.value(), dir.Path("out"));
  EXPECT_EQ(dir.List(), Names{"out"});
  EXPECT_EQ(test::ToText(test::ReadFile(dir.Path("out"))), "content");
}

TEST(OutputFile, IsForItsOwnerAlone) {
  const TempDir dir;
  const mode_t mask = umask(0);
  const auto sink = Create(dir.Path("out"));
  umask(mask);
  struct stat info {};
  ASSERT_EQ(stat(dir.Path(dir.List().at(0)).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
  ASSERT_TRUE(sink->Publish(true).ok());
  ASSERT_EQ(stat(dir.Path("out").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
}

TEST(OutputFile, IsRemovedWhenNeverPublished) {
  const TempDir dir;
  {
    const auto sink = Create(dir.Path("out"));
    ASSERT_TRUE(sink->Write(Bytes(3 << 20)).ok());
    EXPECT_EQ(dir.List().size(), 1U);
  }
  EXPECT_EQ(dir.List(), Names{});
}

TEST(OutputFile, WithoutAnEndKeepsWhatTheKernelTook) {
  const TempDir dir;
  const auto sink = Create(dir.Path("out"));
  ASSERT_TRUE(sink->Write(Bytes(1 << 20, std::byte{7})).ok());
  ASSERT_TRUE(sink->Write(test::ToBytes("not yet taken")).ok());
  const auto kept = sink->Keep();
  ASSERT_TRUE(kept.ok()) << kept.error().message;
  EXPECT_EQ(kept.value(), dir.Path("out.partial"));
  EXPECT_EQ(dir.List(), Names{"out.partial"});
  EXPECT_EQ(test::ReadFile(kept.value()), Bytes(1 << 20, std::byte{7}));
}

TEST(OutputFile, NothingTakenIsNothingKept) {
  const TempDir dir;
  {
    const auto sink = Create(dir.Path("out"));
    ASSERT_TRUE(sink->Write(test::ToBytes("not yet taken")).ok());
    const auto kept = sink->Keep();
    ASSERT_FALSE(kept.ok());
    EXPECT_EQ(kept.error().code, ErrorCode::kNotFound);
  }
  EXPECT_EQ(dir.List(), Names{});
}

/// A direct write that is cut short goes on through the page cache.
TEST(OutputFile, AShortDirectWriteIsNotAroundThePageCache) {
  const TempDir dir;
  const auto sink = Create(dir.Path("out"));
  const FileSizeLimit limit((1 << 20) + 8192);
  ASSERT_TRUE(sink->Write(Bytes(1 << 20, std::byte{7})).ok());
  EXPECT_FALSE(sink->Write(Bytes(1 << 20, std::byte{7})).ok());
  EXPECT_FALSE(sink->around_page_cache());
}

TEST(OutputFile, AnExistingFileIsRefusedAtOnce) {
  const TempDir dir;
  test::WriteFile(dir.Path("out"), test::ToBytes("old"));
  const auto sink = CreateOutputFile(dir.Path("out"), false);
  ASSERT_FALSE(sink.ok());
  EXPECT_EQ(sink.error().code, ErrorCode::kIo);
  EXPECT_EQ(sink.error().system_errno, EEXIST);
  EXPECT_NE(sink.error().message.find("--force"), std::string::npos);
  EXPECT_EQ(dir.List(), Names{"out"});
}

TEST(OutputFile, ForceReplacesAtTheEndAndNotBefore) {
  const TempDir dir;
  test::WriteFile(dir.Path("out"), test::ToBytes("old"));
  const auto sink = Create(dir.Path("out"), true);
  ASSERT_TRUE(sink->Write(test::ToBytes("new")).ok());
  ASSERT_TRUE(sink->Flush().ok());
  EXPECT_EQ(test::ToText(test::ReadFile(dir.Path("out"))), "old");
  ASSERT_TRUE(sink->Publish(true).ok());
  EXPECT_EQ(test::ToText(test::ReadFile(dir.Path("out"))), "new");
  EXPECT_EQ(dir.List(), Names{"out"});
}

TEST(OutputFile, ASymbolicLinkIsAnExistingFileEvenWhenItPointsNowhere) {
  const TempDir dir;
  ASSERT_EQ(symlink("nowhere", dir.Path("out").c_str()), 0);
  EXPECT_FALSE(CreateOutputFile(dir.Path("out"), false).ok());
}

TEST(OutputFile, ForceReplacesALinkAndNotWhatItPointsAt) {
  const TempDir dir;
  test::WriteFile(dir.Path("victim"), test::ToBytes("precious"));
  ASSERT_EQ(symlink("victim", dir.Path("out").c_str()), 0);
  const auto sink = Create(dir.Path("out"), true);
  ASSERT_TRUE(sink->Write(test::ToBytes("new")).ok());
  ASSERT_TRUE(sink->Publish(true).ok());
  EXPECT_EQ(test::ToText(test::ReadFile(dir.Path("victim"))), "precious");
  EXPECT_EQ(test::ToText(test::ReadFile(dir.Path("out"))), "new");
  EXPECT_FALSE(std::filesystem::is_symlink(dir.Path("out")));
}

TEST(OutputFile, AFolderIsNeverReplaced) {
  const TempDir dir;
  std::filesystem::create_directory(dir.Path("out"));
  for (const bool force : {false, true})
    EXPECT_FALSE(CreateOutputFile(dir.Path("out"), force).ok());
}

TEST(OutputFile, AFolderThatIsNotThereIsNamed) {
  const TempDir dir;
  const auto sink = CreateOutputFile(dir.Path("no/out"), false);
  ASSERT_FALSE(sink.ok());
  EXPECT_NE(sink.error().message.find("no/"), std::string::npos);
  for (const char* name : {"sub/", ".", ".."}) {
    EXPECT_FALSE(CreateOutputFile(dir.Path(name), true).ok()) << name;
  }
}

TEST(OutputFile, ANameTakenMeanwhileKeepsBothFiles) {
  const TempDir dir;
  const auto sink = Create(dir.Path("out"));
  ASSERT_TRUE(sink->Write(test::ToBytes("mine")).ok());
  test::WriteFile(dir.Path("out"), test::ToBytes("theirs"));
  const auto published = sink->Publish(true);
  ASSERT_FALSE(published.ok());
  EXPECT_EQ(published.error().code, ErrorCode::kIo);
  EXPECT_NE(published.error().message.find("out.partial"), std::string::npos);
  EXPECT_EQ(test::ToText(test::ReadFile(dir.Path("out"))), "theirs");
  EXPECT_EQ(test::ToText(test::ReadFile(dir.Path("out.partial"))), "mine");
}

TEST(OutputFile, PartialNamesNeverOverwriteOneAnother) {
  const TempDir dir;
  for (const char* expected : {"out.partial", "out.partial.2", "out.partial.3"}) {
    const auto sink = Create(dir.Path("out"));
    ASSERT_TRUE(sink->Write(test::ToBytes(expected)).ok());
    const auto published = sink->Publish(false);
    ASSERT_TRUE(published.ok());
    EXPECT_EQ(published.value(), dir.Path(expected));
  }
  EXPECT_EQ(test::ToText(test::ReadFile(dir.Path("out.partial"))), "out.partial");
}

/// A name may be legal and its ".partial" too long: that must show before hours of capture.
TEST(OutputFile, ANameTooLongForPartialLosesNothing) {
  const TempDir dir;
  const auto sink = CreateOutputFile(dir.Path(std::string(250, 'n')), false);
  if (!sink.ok()) return;  // refused at once: fine
  ASSERT_TRUE(sink.value()->Write(test::ToBytes("data")).ok());
  const auto published = sink.value()->Publish(false);
  EXPECT_TRUE(published.ok()) << published.error().message;
}

TEST(OutputFile, RewindForgetsWhatCameAfter) {
  const TempDir dir;
  const auto sink = Create(dir.Path("out"));
  const Bytes first = test::RandomBytes(3 << 20, 1);
  ASSERT_TRUE(sink->Write(first).ok());
  EXPECT_EQ(sink->taken_bytes(), first.size());
  ASSERT_TRUE(sink->Rewind(1'000'003).ok());
  ASSERT_TRUE(sink->Write(test::ToBytes("tail")).ok());
  EXPECT_FALSE(sink->Rewind(5 << 20).ok());
  ASSERT_TRUE(sink->Publish(true).ok());
  Bytes expected(first.begin(), first.begin() + 1'000'003);
  const Bytes tail = test::ToBytes("tail");
  expected.insert(expected.end(), tail.begin(), tail.end());
  EXPECT_EQ(test::ReadFile(dir.Path("out")), expected);
}

TEST(OutputFile, WritesOfAnySizeComeOutInOrder) {
  const TempDir dir;
  const auto sink = Create(dir.Path("out"));
  const Bytes all = test::RandomBytes((5 << 20) + 123, 2);
  test::Random random(3);
  for (size_t at = 0; at < all.size();) {
    const size_t step = std::min<size_t>(all.size() - at, random.Below(700'000));
    ASSERT_TRUE(sink->Write(std::span(all).subspan(at, step)).ok());
    at += step;
  }
  ASSERT_TRUE(sink->Publish(true).ok());
  EXPECT_EQ(test::ReadFile(dir.Path("out")), all);
}

TEST(OutputFile, WritingGoesOnAfterAFlush) {
  const TempDir dir;
  const auto sink = Create(dir.Path("out"));
  Bytes expected;
  for (int i = 0; i < 3; ++i) {
    const Bytes part = test::RandomBytes(1'500'001, static_cast<uint64_t>(i));
    ASSERT_TRUE(sink->Write(part).ok());
    ASSERT_TRUE(sink->Flush().ok());
    expected.insert(expected.end(), part.begin(), part.end());
    EXPECT_EQ(sink->taken_bytes(), expected.size());
  }
  ASSERT_TRUE(sink->Publish(true).ok());
  EXPECT_EQ(test::ReadFile(dir.Path("out")), expected);
}

TEST(OutputFile, AFullDiskIsAnErrorThatRewindMends) {
  const TempDir dir;
  const auto sink = Create(dir.Path("out"));
  const Bytes block = test::RandomBytes(1 << 20, 4);
  ASSERT_TRUE(sink->Write(block).ok());
  {
    const FileSizeLimit limit((1 << 20) + 300'000);
    const Status full = sink->Write(block);
    ASSERT_FALSE(full.ok());
    EXPECT_EQ(full.error().code, ErrorCode::kIo);
    EXPECT_EQ(full.error().system_errno, EFBIG);
    EXPECT_EQ(sink->taken_bytes(), block.size());
    ASSERT_TRUE(sink->Rewind(500'000).ok());
    ASSERT_TRUE(sink->Write(std::span(block).first(1000)).ok());
    ASSERT_TRUE(sink->Flush().ok());
  }
  ASSERT_TRUE(sink->Publish(false).ok());
  Bytes expected(block.begin(), block.begin() + 500'000);
  expected.insert(expected.end(), block.begin(), block.begin() + 1000);
  EXPECT_EQ(test::ReadFile(dir.Path("out.partial")), expected);
}

TEST(OutputFile, PatchReachesWhatIsWrittenAndWhatWaits) {
  const TempDir dir;
  const auto sink = Create(dir.Path("out"));
  Bytes expected = test::RandomBytes((1 << 20) + 5000, 5);
  ASSERT_TRUE(sink->can_patch());
  ASSERT_TRUE(sink->Write(expected).ok());
  ASSERT_LT(sink->taken_bytes(), expected.size());  // the last 5000 wait for their block
  const auto patch = [&](uint64_t offset, size_t bytes) {
    const Bytes with = test::RandomBytes(bytes, offset);
    std::copy(with.begin(), with.end(), expected.begin() + static_cast<ptrdiff_t>(offset));
    return sink->Patch(offset, with).ok();
  };
  EXPECT_TRUE(patch(3, 100));                         // in the file, nowhere aligned
  EXPECT_TRUE(patch(sink->taken_bytes() - 50, 100));  // across its end
  EXPECT_TRUE(patch(expected.size() - 10, 10));       // in what waits
  const Bytes tail = test::RandomBytes(2 << 20, 6);   // writing goes on around the page cache
  ASSERT_TRUE(sink->Write(tail).ok());
  expected.insert(expected.end(), tail.begin(), tail.end());
  const Status beyond = sink->Patch(expected.size() - 1, std::span(tail).first(2));
  ASSERT_FALSE(beyond.ok());
  EXPECT_EQ(beyond.error().code, ErrorCode::kInvalidArgument);
  ASSERT_TRUE(sink->Publish(true).ok());
  EXPECT_EQ(test::ReadFile(dir.Path("out")), expected);
}

TEST(OutputFile, SkipIsZerosAndAHole) {
  const TempDir dir;
  const auto sink = Create(dir.Path("out"));
  Bytes expected = test::RandomBytes(777, 7);
  ASSERT_TRUE(sink->Write(expected).ok());
  ASSERT_TRUE(sink->Skip(16 << 20).ok());
  const Bytes end = test::RandomBytes(99, 8);
  ASSERT_TRUE(sink->Write(end).ok());
  ASSERT_TRUE(sink->Skip(3).ok());
  expected.resize(expected.size() + (16 << 20));
  expected.insert(expected.end(), end.begin(), end.end());
  expected.resize(expected.size() + 3);
  ASSERT_TRUE(sink->Publish(true).ok());
  EXPECT_EQ(test::ReadFile(dir.Path("out")), expected);
  struct stat status {};
  ASSERT_EQ(stat(dir.Path("out").c_str(), &status), 0);
  EXPECT_LT(status.st_blocks * 512, 4 << 20);
}

TEST(OutputFile, SkippingPastEveryFileIsAnError) {
  const TempDir dir;
  const auto sink = Create(dir.Path("out"));
  ASSERT_TRUE(sink->Skip(1 << 20).ok());
  const Status far = sink->Skip(uint64_t{1} << 63);
  ASSERT_FALSE(far.ok());
  EXPECT_EQ(far.error().system_errno, EFBIG);
}

TEST(OutputFile, PatchFillsWhatWasSkipped) {
  const TempDir dir;
  const auto sink = Create(dir.Path("out"));
  ASSERT_TRUE(sink->Reserve(1 << 20).ok());
  ASSERT_TRUE(sink->Skip(3 << 20).ok());
  const Bytes table = test::RandomBytes(70'001, 9);
  ASSERT_TRUE(sink->Patch(12'345, table).ok());
  ASSERT_TRUE(sink->Publish(true).ok());
  Bytes expected(3 << 20);
  std::copy(table.begin(), table.end(), expected.begin() + 12'345);
  // Room that was reserved is not content.
  EXPECT_EQ(test::ReadFile(dir.Path("out")), expected);
}

TEST(PipeSink, SkipsByWritingZerosAndCannotPatch) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  const UniqueFd write_end(ends[1]);
  const auto sink = CreatePipeSink(write_end.get());
  ASSERT_TRUE(sink->Write(test::ToBytes("ab")).ok());
  ASSERT_TRUE(sink->Skip(5000).ok());
  EXPECT_FALSE(sink->can_patch());
  const Status patched = sink->Patch(0, test::ToBytes("x"));
  ASSERT_FALSE(patched.ok());
  EXPECT_EQ(patched.error().code, ErrorCode::kUnsupported);
  Bytes got(6000);
  EXPECT_EQ(read(read_end.get(), got.data(), got.size()), 5002);
  Bytes expected = test::ToBytes("ab");
  expected.resize(got.size());
  EXPECT_EQ(got, expected);
}

TEST(PipeSink, WritesThroughAndCannotRewind) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  const UniqueFd write_end(ends[1]);
  const auto sink = CreatePipeSink(write_end.get());
  ASSERT_TRUE(sink->Write(test::ToBytes("data")).ok());
  EXPECT_EQ(sink->taken_bytes(), 4U);
  const Status rewound = sink->Rewind(0);
  ASSERT_FALSE(rewound.ok());
  EXPECT_EQ(rewound.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(sink->Publish(false).value(), "-");
  char buffer[8]{};
  EXPECT_EQ(read(read_end.get(), buffer, sizeof(buffer)), 4);
  EXPECT_FALSE(sink->around_page_cache());
}

TEST(PipeSink, AClosedReaderIsAnError) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  close(ends[0]);
  const UniqueFd write_end(ends[1]);
  const sighandler_t handler = signal(SIGPIPE, SIG_IGN);
  const Status status = CreatePipeSink(write_end.get())->Write(test::ToBytes("data"));
  signal(SIGPIPE, handler);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().system_errno, EPIPE);
}

}  // namespace
}  // namespace kcoredump
