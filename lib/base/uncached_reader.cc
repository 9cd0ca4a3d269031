// SPDX-License-Identifier: MIT
#include "base/uncached_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/checked.h"
#include "base/file.h"
#include "base/try.h"

namespace kcoredump {

namespace {

/// A multiple of every block size that O_DIRECT may ask for, and of the page cache's pages.
constexpr uint64_t kReadBlockBytes = 64 << 10;

}  // namespace

UncachedReader::UncachedReader(int fd)
    : fd_(fd),
      direct_(open(("/proc/self/fd/" + std::to_string(fd)).c_str(),
                   O_RDONLY | O_DIRECT | O_CLOEXEC | O_NONBLOCK)) {
  // What is read ahead would not be dropped.
  if (!direct_.valid()) posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
}

Status UncachedReader::ReadExactly(std::span<std::byte> out, uint64_t offset) {
  if (direct_.valid() && ReadDirect(out, offset)) return {};
  KCD_TRY(PreadExactly(fd_, out, offset));
  const uint64_t begin = AlignDown(offset, kReadBlockBytes);
  const uint64_t end = AlignUp(offset + out.size(), kReadBlockBytes);
  posix_fadvise(fd_, static_cast<off_t>(begin), static_cast<off_t>(end - begin),
                POSIX_FADV_DONTNEED);
  return {};
}

/// False: it must be read the other way, which knows of errors and the file's end.
bool UncachedReader::ReadDirect(std::span<std::byte> out, uint64_t offset) {
  const uint64_t begin = AlignDown(offset, kReadBlockBytes);
  const uint64_t bytes = AlignUp(offset + out.size(), kReadBlockBytes) - begin;
  if (bytes > block_bytes_) {
    block_.reset(static_cast<std::byte*>(std::aligned_alloc(kReadBlockBytes, bytes)));
    block_bytes_ = block_ ? bytes : 0;
    if (!block_) return false;
  }
  const ssize_t count = pread(direct_.get(), block_.get(), bytes, static_cast<off_t>(begin));
  if (count < 0 && errno == EINVAL) direct_.Reset();  // it opens, but does not read like that
  if (count < static_cast<ssize_t>(offset - begin + out.size())) return false;
  std::memcpy(out.data(), block_.get() + (offset - begin), out.size());
  return true;
}

}  // namespace kcoredump
