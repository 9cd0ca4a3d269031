// SPDX-License-Identifier: MIT
#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

Result<UniqueFd> OpenForReading(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return SystemError(path, errno);
  return fd;
}

std::string FolderOf(const std::string& path) { return path.substr(0, path.find_last_of('/') + 1); }

std::string PathOfDescriptor(int fd) {
  std::error_code failed;
  const std::string path =
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), failed).string();
  struct stat open_file {};
  struct stat named {};
  const bool same = !failed && fstat(fd, &open_file) == 0 && stat(path.c_str(), &named) == 0 &&
                    open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
  return same ? path : std::string();
}

Status AppendFile(const std::string& path, size_t max_bytes, std::vector<std::byte>& out) {
  static constexpr size_t kStepBytes = 64 * 1024;
  KCD_ASSIGN(const UniqueFd fd, OpenForReading(path));
  const size_t start = out.size();
  for (;;) {
    const size_t have = out.size();
    out.resize(have + kStepBytes);
    const ssize_t count = read(fd.get(), out.data() + have, kStepBytes);
    const int read_errno = errno;
    out.resize(have + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (count == 0) return {};
    if (count < 0 && read_errno != EINTR) {
      out.resize(start);
      return SystemError(path, read_errno);
    }
    if (out.size() - start > max_bytes) {
      out.resize(start);
      return MakeError(ErrorCode::kLimitExceeded,
                       path + " is longer than " + HumanBytes(max_bytes));
    }
  }
}

Result<std::string> ReadTextFile(const std::string& path, size_t max_bytes) {
  std::vector<std::byte> bytes;
  KCD_TRY(AppendFile(path, max_bytes, bytes));
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<size_t> PreadUpTo(int fd, std::span<std::byte> out, uint64_t offset) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t count =
        pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (count == 0) break;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError("read at offset " + Hex(offset + done), errno);
    done += static_cast<size_t>(count);
  }
  return done;
}

Status PreadExactly(int fd, std::span<std::byte> out, uint64_t offset) {
  KCD_ASSIGN(const size_t count, PreadUpTo(fd, out, offset));
  if (count == out.size()) return {};
  return MakeError(ErrorCode::kCorrupt, "the file ends at " + Hex(offset + count) + ", " +
                                            std::to_string(out.size() - count) +
                                            " bytes too early");
}

}  // namespace kcoredump
