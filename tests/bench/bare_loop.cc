// SPDX-License-Identifier: MIT
//
// The least that a compressed capture can be: threads that pread a frame, test it for zeros,
// compress it and append it to a file. No holes, no account, no order, no index: what Capture is
// measured against.
//   bare_loop INPUT OUTPUT [LEVEL] [FRAME_KIB] [THREADS]
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace {

constexpr size_t kAlignment = 4096;
constexpr size_t kZeroStep = 64;

struct Job {
  int in = -1;
  int out = -1;
  int level = 1;
  size_t frame_bytes = 0;
  uint64_t input_bytes = 0;
  std::atomic<uint64_t> next{0};
  std::mutex writing;
};

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

bool IsZero(const char* bytes, size_t count) {
  static constexpr char kZeros[kZeroStep] = {};
  const size_t head = count < kZeroStep ? count : kZeroStep;
  return std::memcmp(bytes, kZeros, head) == 0 &&
         std::memcmp(bytes, bytes + head, count - head) == 0;
}

void Work(Job& job) {
  const std::unique_ptr<char, decltype(&std::free)> in(
      static_cast<char*>(std::aligned_alloc(kAlignment, job.frame_bytes)), std::free);
  std::vector<char> out(ZSTD_compressBound(job.frame_bytes));
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(),
                                                                     ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, job.level);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  for (;;) {
    const uint64_t at = job.next.fetch_add(job.frame_bytes);
    if (at >= job.input_bytes) return;
    const ssize_t count = pread(job.in, in.get(), job.frame_bytes, static_cast<off_t>(at));
    if (count <= 0) Fail("pread");
    const auto bytes = static_cast<size_t>(count);
    if (IsZero(in.get(), bytes)) continue;
    const size_t length = ZSTD_compress2(context.get(), out.data(), out.size(), in.get(), bytes);
    if (ZSTD_isError(length) != 0) Fail(ZSTD_getErrorName(length));
    const std::scoped_lock lock(job.writing);
    if (write(job.out, out.data(), length) != static_cast<ssize_t>(length)) Fail("write");
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) {
    std::fprintf(stderr, "usage: bare_loop INPUT OUTPUT [LEVEL] [FRAME_KIB] [THREADS]\n");
    return 2;
  }
  const auto number = [&](int at, int fallback) {
    return count > at ? std::atoi(arguments[at]) : fallback;
  };
  Job job;
  job.in = open(arguments[1], O_RDONLY);
  job.out = open(arguments[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
  struct stat info {};
  if (job.in < 0 || job.out < 0 || fstat(job.in, &info) != 0) Fail("open");
  job.input_bytes = static_cast<uint64_t>(info.st_size);
  job.level = number(3, 1);
  job.frame_bytes = static_cast<size_t>(number(4, 256)) * 1024;
  std::vector<std::thread> threads;
  for (int i = 0; i < number(5, 2); ++i) threads.emplace_back([&job] { Work(job); });
  for (std::thread& thread : threads) thread.join();
  return 0;
}
