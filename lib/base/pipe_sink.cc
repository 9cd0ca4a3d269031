// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/error.h"
#include "base/output_file.h"
#include "base/try.h"
#include "base/write_behind.h"

namespace kcoredump {

namespace {

Status WriteAll(int fd, std::span<const std::byte> bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EAGAIN) {
      pollfd room{.fd = fd, .events = POLLOUT, .revents = 0};
      poll(&room, 1, -1);
      continue;
    }
    if (count < 0 && errno != EINTR) return OutputError(name, errno);
    if (count > 0) bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return {};
}

class PipeSink : public ByteSink {
 public:
  explicit PipeSink(int fd) : fd_(fd) {
    struct stat info {};
    is_file_ = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    const bool appends = (fcntl(fd, F_GETFL) & O_APPEND) != 0;
    const off_t position = appends ? info.st_size : std::max<off_t>(lseek(fd, 0, SEEK_CUR), 0);
    if (is_file_) {
      start_ = static_cast<uint64_t>(position);
      behind_.Reset(start_);
    }
  }

  Status Write(std::span<const std::byte> bytes) override {
    KCD_TRY(WriteAll(fd_, bytes, "standard output"));
    taken_bytes_ += bytes.size();
    if (is_file_) behind_.Advance(fd_, start_ + taken_bytes_);
    return {};
  }
  Status Flush() override { return {}; }
  uint64_t taken_bytes() const override { return taken_bytes_; }
  Status Rewind(uint64_t /*offset*/) override {
    return MakeError(ErrorCode::kUnsupported, "a pipe cannot be rewound");
  }
  Result<std::string> Publish(bool /*complete*/) override {
    if (is_file_ && fsync(fd_) != 0) return OutputError("standard output", errno);
    return std::string("-");
  }
  bool around_page_cache() const override { return false; }

 private:
  int fd_;
  bool is_file_ = false;  ///< "> FILE": the page cache matters there, too
  uint64_t start_ = 0;
  uint64_t taken_bytes_ = 0;
  WriteBehind behind_;
};

}  // namespace

Status ByteSink::Skip(uint64_t bytes) {
  static constexpr std::array<std::byte, 65536> kZeros{};
  for (; bytes > kZeros.size(); bytes -= kZeros.size()) KCD_TRY(Write(kZeros));
  return Write(std::span(kZeros).first(bytes));
}

Status ByteSink::Patch(uint64_t /*offset*/, std::span<const std::byte> /*bytes*/) {
  return MakeError(ErrorCode::kUnsupported, "a pipe cannot be written out of order");
}

Status ByteSink::Reserve(uint64_t /*bytes*/) { return {}; }

Result<std::string> ByteSink::Keep() {
  return MakeError(ErrorCode::kUnsupported, "what went into a pipe is its reader's");
}

std::unique_ptr<ByteSink> CreatePipeSink(int fd) { return std::make_unique<PipeSink>(fd); }

}  // namespace kcoredump
