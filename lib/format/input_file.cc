// SPDX-License-Identifier: MIT
#include "format/input_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/try.h"
#include "base/unique_fd.h"
#include "kcoredump/text.h"

namespace kcoredump {

Status InputFile::ReadExactly(uint64_t offset, std::span<std::byte> out) const {
  KCD_ASSIGN(const size_t count, read_at(offset, out));
  if (count == out.size()) return {};
  return MakeError(ErrorCode::kCorrupt, "the file ends at " + Hex(offset + count) + ", " +
                                            std::to_string(out.size() - count) +
                                            " bytes too early");
}

Result<InputFile> OpenInputFile(const std::string& path) {
  KCD_ASSIGN(UniqueFd opened, OpenForReading(path));
  const auto fd = std::make_shared<UniqueFd>(std::move(opened));
  struct stat info {};
  if (fstat(fd->get(), &info) != 0) return SystemError(path, errno);
  off_t bytes = info.st_size;
  if (S_ISBLK(info.st_mode)) bytes = lseek(fd->get(), 0, SEEK_END);
  if (bytes < 0) return SystemError(path, errno);
  InputFile file;
  file.path = path;
  file.bytes = static_cast<uint64_t>(bytes);
  file.disk_bytes = file.bytes;
  // pread on one descriptor is for any number of threads.
  file.read_at = [fd](uint64_t offset, std::span<std::byte> out) {
    return PreadUpTo(fd->get(), out, offset);
  };
  return file;
}

int64_t ReadForSource(const InputFile& file, uint64_t offset, std::span<std::byte> out) {
  const auto count = file.read_at(offset, out);
  if (count.ok()) return static_cast<int64_t>(count.value());
  return count.error().system_errno != 0 ? -count.error().system_errno : -EIO;
}

}  // namespace kcoredump
