// SPDX-License-Identifier: MIT
#include "capture/footprint.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/unique_fd.h"

namespace kcoredump {

namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

CaptureFootprint Used() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return {.cpu_seconds = Seconds(used.ru_utime) + Seconds(used.ru_stime),
          .peak_rss_bytes = static_cast<uint64_t>(used.ru_maxrss) * 1024,
          .faulted_pages = static_cast<uint64_t>(used.ru_minflt),
          .page_cache_bytes = 0};
}

/// The file is ours and nothing of it is read here: a mapping only gives mincore something to ask
/// for.
uint64_t CachedBytes(const std::string& path) {
  constexpr uint64_t kStep = uint64_t{1} << 30;
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  if (!fd.valid() || fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return 0;
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const auto size = static_cast<uint64_t>(status.st_size);
  uint64_t cached_pages = 0;
  std::vector<unsigned char> resident;
  for (uint64_t at = 0; at < size; at += kStep) {
    const uint64_t bytes = std::min(kStep, size - at);
    void* mapped = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd.get(), static_cast<off_t>(at));
    if (mapped == MAP_FAILED) return 0;
    resident.assign((bytes + page - 1) / page, 0);
    if (mincore(mapped, bytes, resident.data()) == 0) {
      cached_pages += static_cast<uint64_t>(std::count_if(
          resident.begin(), resident.end(), [](unsigned char one) { return (one & 1) != 0; }));
    }
    munmap(mapped, bytes);
  }
  return cached_pages * page;
}

}  // namespace

FootprintMeter::FootprintMeter() : start_(Used()) {}

CaptureFootprint FootprintMeter::Now(const std::string& output) const {
  CaptureFootprint now = Used();
  now.cpu_seconds -= start_.cpu_seconds;
  now.faulted_pages -= start_.faulted_pages;
  if (output != "-") now.page_cache_bytes = CachedBytes(output);
  return now;
}

}  // namespace kcoredump
