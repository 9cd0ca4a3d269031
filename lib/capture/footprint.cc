// SPDX-License-Identifier: MIT
#include "capture/footprint.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "base/file.h"
#include "base/unique_fd.h"

namespace kcoredump {

namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

rusage Used() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return used;
}

double CpuSeconds(const rusage& used) { return Seconds(used.ru_utime) + Seconds(used.ru_stime); }

uint64_t PeakBytes(const rusage& used) { return static_cast<uint64_t>(used.ru_maxrss) * 1024; }

uint64_t PageBytes() { return static_cast<uint64_t>(sysconf(_SC_PAGESIZE)); }

struct Resident {
  uint64_t all_bytes = 0;
  uint64_t of_files_bytes = 0;
};

/// proc_pid_statm(5): size, resident, shared, …, in pages.
Resident ResidentNow() {
  const auto text = ReadTextFile("/proc/self/statm", 256);
  std::array<unsigned long long, 3> pages{};
  if (!text.ok() ||
      std::sscanf(text.value().c_str(), "%llu %llu %llu", &pages[0], &pages[1], &pages[2]) != 3) {
    return {};
  }
  return {.all_bytes = pages[1] * PageBytes(), .of_files_bytes = pages[2] * PageBytes()};
}

/// The file is ours and nothing of it is read here: a mapping only gives mincore something to ask
/// for.
uint64_t CachedBytes(const std::string& path) {
  constexpr uint64_t kStep = uint64_t{1} << 30;
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  if (!fd.valid() || fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return 0;
  const uint64_t page = PageBytes();
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

FootprintMeter::FootprintMeter() {
  const rusage used = Used();
  const Resident resident = ResidentNow();
  cpu_seconds_ = CpuSeconds(used);
  faults_ = static_cast<uint64_t>(used.ru_minflt);
  peak_rss_bytes_ = PeakBytes(used);
  own_bytes_ = resident.all_bytes - resident.of_files_bytes;
}

CaptureFootprint FootprintMeter::Now(const std::string& output) const {
  const rusage used = Used();
  CaptureFootprint footprint{.cpu_seconds = CpuSeconds(used) - cpu_seconds_,
                             .peak_rss_bytes = PeakBytes(used)};
  // A page that was given back may be given again; and a fault may give a huge page at once.
  const bool higher = footprint.peak_rss_bytes > peak_rss_bytes_;
  const uint64_t before = own_bytes_ + ResidentNow().of_files_bytes;
  const uint64_t grown =
      higher ? footprint.peak_rss_bytes - std::min(before, footprint.peak_rss_bytes) : 0;
  footprint.dirtied_pages =
      std::max(static_cast<uint64_t>(used.ru_minflt) - faults_, grown / PageBytes());
  if (output != "-") footprint.page_cache_bytes = CachedBytes(output);
  return footprint;
}

}  // namespace kcoredump
