// SPDX-License-Identifier: MIT
#include "cmd/events.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

Error CannotOpen(const std::string& where, int number, const std::string& cure) {
  return {.code = number == 0 ? ErrorCode::kInvalidArgument : ErrorCode::kIo,
          .message = "--events " + where + ": " + (number == 0 ? "" : std::strerror(number)) + cure,
          .system_errno = number};
}

/// A pipe or device that stands there already is written to; a file is not replaced unasked.
int OpenFile(const std::string& path, bool replace) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd >= 0 || errno != EEXIST) return fd;
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return -1;
  if (S_ISREG(status.st_mode) && !replace) {
    errno = EEXIST;
    return -1;
  }
  return open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
}

}  // namespace

EventLog::~EventLog() {
  if (ours_ && fd_ >= 0) close(fd_);
}

Status EventLog::Open(const std::string& where, bool replace) {
  if (const auto number = ParseNumber(where)) {
    const int flags = *number <= INT_MAX ? fcntl(static_cast<int>(*number), F_GETFL) : -1;
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) {
      return CannotOpen(where, 0, "no descriptor of that number is open for writing");
    }
    fd_ = static_cast<int>(*number);
    return {};
  }
  fd_ = OpenFile(where, replace);
  if (fd_ < 0) {
    return CannotOpen(where, errno, errno == EEXIST ? "; --force replaces it" : "");
  }
  ours_ = true;
  return {};
}

void EventLog::Write(const CaptureEvent& event) {
  if (fd_ < 0) return;
  const std::string line = ToJson(event) + "\n";
  for (size_t done = 0; done < line.size();) {
    const ssize_t written = write(fd_, line.data() + done, line.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      PrintNote(std::string("note: no more events are written: ") + std::strerror(errno));
      if (ours_) close(fd_);
      fd_ = -1;
      return;
    }
    done += static_cast<size_t>(written);
  }
}

}  // namespace kcoredump::cmd
