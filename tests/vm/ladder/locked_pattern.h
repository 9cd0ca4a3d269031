// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "kcoredump/address.h"

namespace kcoredump::test {

/// Locked pages with known content, and where they are in physical memory (by pagemap, as root).
class LockedPattern {
 public:
  LockedPattern(size_t pages, uint8_t seed)
      : bytes_(pages * kPage),
        memory_(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)) {
    EXPECT_NE(memory_, MAP_FAILED);
    madvise(memory_, bytes_, MADV_NOHUGEPAGE);
    EXPECT_EQ(mlock(memory_, bytes_), 0);
    for (size_t page = 0; page < pages; ++page) {
      for (size_t i = 0; i < kPage; ++i) {
        Page(page)[i] = static_cast<std::byte>(seed + page * 31 + i % 251);
      }
    }
  }
  ~LockedPattern() { munmap(memory_, bytes_); }
  LockedPattern(const LockedPattern&) = delete;
  LockedPattern& operator=(const LockedPattern&) = delete;

  [[nodiscard]] std::byte* Page(size_t page) const {
    return static_cast<std::byte*>(memory_) + page * kPage;
  }

  /// Bits 0 to 54 of a pagemap entry are the PFN.
  [[nodiscard]] PhysAddr Physical(size_t page) const {
    const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    uint64_t entry = 0;
    const auto index = reinterpret_cast<uintptr_t>(Page(page)) / kPage;
    EXPECT_EQ(pread(fd, &entry, sizeof(entry), static_cast<off_t>(index * sizeof(entry))),
              static_cast<ssize_t>(sizeof(entry)));
    close(fd);
    return PhysAddr{(entry & ((uint64_t{1} << 55) - 1)) * kPage};
  }

  /// Whether `bytes` are the pages from `first` on.
  [[nodiscard]] bool Matches(std::span<const std::byte> bytes, size_t first) const {
    return std::memcmp(bytes.data(), Page(first), bytes.size()) == 0;
  }

 private:
  static constexpr size_t kPage = 4096;
  size_t bytes_;
  void* memory_;
};

}  // namespace kcoredump::test
