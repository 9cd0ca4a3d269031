// SPDX-License-Identifier: MIT
#include "capture/footprint.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>

#include "support/files.h"

namespace kcoredump {
namespace {

TEST(FootprintMeter, CountsCpuTimeFromItsOwnStart) {
  const auto burn = [](double seconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    volatile unsigned work = 0;
    while (std::chrono::steady_clock::now() < end) work = work + 1;
  };
  burn(0.05);
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  const FootprintMeter meter;
  burn(0.2);
  const double counted = meter.Now("-").cpu_seconds;
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  const double used = seconds(after.ru_utime) + seconds(after.ru_stime) - seconds(before.ru_utime) -
                      seconds(before.ru_stime);
  EXPECT_GT(counted, 0);
  EXPECT_LE(counted, used);
  EXPECT_GE(counted, used - 0.05);
}

TEST(FootprintMeter, CountsThePagesThatWereTaken) {
  constexpr size_t kTaken = 20'000;
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const FootprintMeter meter;
  void* memory =
      mmap(nullptr, kTaken * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  (void)madvise(memory, kTaken * page, MADV_NOHUGEPAGE);
  for (size_t i = 0; i < kTaken; ++i) static_cast<volatile char*>(memory)[i * page] = 1;
  const CaptureFootprint footprint = meter.Now("-");
  munmap(memory, kTaken * page);
  EXPECT_GE(footprint.dirtied_pages, kTaken);
  EXPECT_LT(footprint.dirtied_pages, 2 * kTaken);
  EXPECT_GE(footprint.peak_rss_bytes, kTaken * page);
}

TEST(FootprintMeter, CountsWhatTheOutputTakesOfThePageCache) {
  const test::TempDir dir;
  const FootprintMeter meter;
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  test::WriteFile(dir.Path("file"), test::RandomBytes(10 * page + 1, 1));
  EXPECT_EQ(meter.Now(dir.Path("file")).page_cache_bytes, 11 * page);
  EXPECT_EQ(meter.Now("-").page_cache_bytes, 0U);
  EXPECT_EQ(meter.Now(dir.Path("none")).page_cache_bytes, 0U);
  EXPECT_EQ(meter.Now("/dev/null").page_cache_bytes, 0U);
  const UniqueFd fd(open(dir.Path("file").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(fsync(fd.get()), 0);
  ASSERT_EQ(posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED), 0);
  // A file system in memory is nothing but page cache.
  EXPECT_TRUE(meter.Now(dir.Path("file")).page_cache_bytes == 0 ||
              meter.Now(dir.Path("file")).page_cache_bytes == 11 * page);
}

}  // namespace
}  // namespace kcoredump
