// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace kcoredump::test {

/// The memory that every file of the mount shows: 64 pages from physical 1 MiB.
inline constexpr uint64_t kFusePhys = 0x100000;
inline constexpr uint64_t kFusePages = 64;
inline constexpr uint64_t kFusePageBytes = 4096;
inline constexpr uint64_t kFirstBadPage = 10;
inline constexpr uint64_t kBadPages = 3;

/// The byte that page `index` is filled with.
constexpr unsigned char FuseByte(uint64_t index) {
  return static_cast<unsigned char>(index * 3 + 1);
}

/// A FUSE mount of ELF cores that behave badly, served by a child process:
///   good   every read is whole
///   eio    reads that touch the bad pages answer EIO
///   short  no read answers more than 1000 bytes
///   never  reads that touch the bad pages do not return
///   mute   no read returns
///   late   from the first read of a bad page on, no read returns
class FuseKcore {
 public:
  /// Mounts below a new folder; mounted() tells whether that worked.
  FuseKcore();
  FuseKcore(const FuseKcore&) = delete;
  FuseKcore& operator=(const FuseKcore&) = delete;
  /// Ends the server, which also ends reads that never return.
  ~FuseKcore();

  [[nodiscard]] bool mounted() const { return mounted_; }
  [[nodiscard]] std::string File(const std::string& name) const { return folder_ + "/" + name; }

 private:
  std::string folder_;
  pid_t server_ = -1;
  bool mounted_ = false;
};

}  // namespace kcoredump::test
