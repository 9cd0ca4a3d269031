// SPDX-License-Identifier: MIT
#include "source/safe_copy.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/checked.h"
#include "base/unique_fd.h"

namespace kcoredump {

namespace {

#ifndef MADV_POPULATE_WRITE
constexpr int MADV_POPULATE_WRITE = 23;
#endif

/// read() into a bad buffer is an errno on every kernel. A page at a time: a pipe holds at least
/// one.
SafeCopyResult CopyThroughPipe(std::span<const std::byte> from, std::byte* to) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return {.system_errno = errno};
  const UniqueFd reader(ends[0]);
  const UniqueFd writer(ends[1]);
  SafeCopyResult result;
  while (result.bytes < from.size()) {
    const size_t step = std::min<size_t>(from.size() - result.bytes, 4096);
    const ssize_t sent = write(writer.get(), from.data() + result.bytes, step);
    if (sent <= 0) return {.system_errno = errno, .bytes = result.bytes};
    const ssize_t count = read(reader.get(), to + result.bytes, static_cast<size_t>(sent));
    if (count > 0) result.bytes += static_cast<size_t>(count);
    if (count != sent) return {.system_errno = EFAULT, .bytes = result.bytes};
  }
  return result;
}

int WriteToEachPage(std::span<std::byte> destination, size_t page_bytes) {
  static constexpr std::byte kZero{0};
  for (size_t at = 0; at < destination.size();) {
    std::byte* address = destination.data() + at;
    const SafeCopyResult copy = SafeCopy({&kZero, 1}, address);
    if (copy.system_errno != 0) return copy.system_errno;
    const auto value = reinterpret_cast<uintptr_t>(address);
    at += AlignDown(value, page_bytes) + page_bytes - value;
  }
  return 0;
}

}  // namespace

SafeCopyResult SafeCopy(std::span<const std::byte> from, std::byte* to) {
  SafeCopyResult result;
  while (result.bytes < from.size()) {
    iovec local{.iov_base = const_cast<std::byte*>(from.data()) + result.bytes,
                .iov_len = from.size() - result.bytes};
    iovec remote{.iov_base = to + result.bytes, .iov_len = local.iov_len};
    const ssize_t count = process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
    if (count > 0) {
      result.bytes += static_cast<size_t>(count);
      continue;
    }
    const int failure = count == 0 ? EFAULT : errno;
    if (failure == EINTR) continue;
    // Kernels without CONFIG_CROSS_MEMORY_ATTACH, and seccomp filters that forbid it.
    if (failure == ENOSYS || failure == EPERM) {
      const SafeCopyResult rest = CopyThroughPipe(from.subspan(result.bytes), to + result.bytes);
      return {.system_errno = rest.system_errno, .bytes = result.bytes + rest.bytes};
    }
    result.system_errno = failure;
    return result;
  }
  return result;
}

int FaultIn(std::span<std::byte> destination) {
  const auto page_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t inside = reinterpret_cast<uintptr_t>(destination.data()) & (page_bytes - 1);
  const size_t bytes = AlignUp(inside + destination.size(), page_bytes);
  if (madvise(destination.data() - inside, bytes, MADV_POPULATE_WRITE) == 0) return 0;
  if (errno != EINVAL) return errno;
  return WriteToEachPage(destination, page_bytes);
}

}  // namespace kcoredump
