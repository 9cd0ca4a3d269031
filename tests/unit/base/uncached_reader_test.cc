// SPDX-License-Identifier: MIT
#include "base/uncached_reader.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/file.h"
#include "support/files.h"

namespace kcoredump {
namespace {

constexpr size_t kFileBytes = (1 << 20) + 777;

class UncachedReaderTest : public ::testing::Test {
 protected:
  UncachedReaderTest() : bytes_(test::RandomBytes(kFileBytes, 1)) {
    test::WriteFile(dir_.Path("file"), bytes_);
    fd_ = std::move(OpenForReading(dir_.Path("file")).value());
    fsync(fd_.get());
    posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED);
  }
  /// Pages of the file in the page cache.
  size_t Cached() {
    void* mapped = mmap(nullptr, kFileBytes, PROT_READ, MAP_SHARED, fd_.get(), 0);
    std::vector<unsigned char> resident(kFileBytes / 4096 + 1);
    EXPECT_EQ(mincore(mapped, kFileBytes, resident.data()), 0);
    munmap(mapped, kFileBytes);
    return static_cast<size_t>(std::count_if(resident.begin(), resident.end(),
                                             [](unsigned char one) { return (one & 1) != 0; }));
  }

  test::TempDir dir_;
  test::Bytes bytes_;
  UniqueFd fd_;
};

TEST_F(UncachedReaderTest, GivesTheFilesBytesWhereverTheyLie) {
  UncachedReader reader(fd_.get());
  for (const size_t offset : {size_t{0}, size_t{1}, size_t{4095}, size_t{65536}, size_t{70001}}) {
    for (const size_t length : {size_t{1}, size_t{4096}, size_t{131073}, kFileBytes - offset}) {
      test::Bytes out(length);
      ASSERT_TRUE(reader.ReadExactly(out, offset).ok());
      EXPECT_TRUE(std::equal(out.begin(), out.end(), bytes_.begin() + static_cast<long>(offset)));
    }
  }
}

TEST_F(UncachedReaderTest, BeyondTheEndIsAnErrorThatSaysWhere) {
  UncachedReader reader(fd_.get());
  test::Bytes out(100);
  const Status status = reader.ReadExactly(out, kFileBytes - 40);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(status.error().message.find("60 bytes too early"), std::string::npos);
}

TEST_F(UncachedReaderTest, LeavesNothingInThePageCache) {
  if (Cached() != 0) GTEST_SKIP() << "this file system has nothing but a page cache";
  UncachedReader reader(fd_.get());
  test::Bytes out(kFileBytes);
  ASSERT_TRUE(reader.ReadExactly(out, 0).ok());
  EXPECT_EQ(Cached(), 0U);
}

}  // namespace
}  // namespace kcoredump
