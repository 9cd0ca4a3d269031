// SPDX-License-Identifier: MIT
#include "cmd/events.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

constexpr int kLookMs = 50;
constexpr int kPatienceMs = 10'000;
constexpr int kStoppingPatienceMs = 1'000;

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
  if (!S_ISREG(status.st_mode)) return open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
  if (!replace) {
    errno = EEXIST;
    return -1;
  }
  // Root may write where others can put a link.
  return open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
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

/// A reader that is slow is waited for, but it must not hold up the capture, nor its end.
bool EventLog::WaitForRoom(bool may_skip) {
  for (int waited_ms = 0;; waited_ms += kLookMs) {
    pollfd room{.fd = fd_, .events = POLLOUT, .revents = 0};
    const int ready = poll(&room, 1, may_skip ? 0 : kLookMs);
    if (ready > 0) return true;
    const bool stopping = cancel_ != nullptr && cancel_->load();
    if (may_skip || waited_ms >= (stopping ? kStoppingPatienceMs : kPatienceMs)) return false;
  }
}

void EventLog::GiveUp(const std::string& reason) {
  PrintNote("note: no more events are written: " + reason);
  if (ours_) close(fd_);
  fd_ = -1;
}

void EventLog::Write(const CaptureEvent& event) {
  if (fd_ < 0) return;
  const bool may_skip = event.kind == CaptureEvent::Kind::kProgress;
  const std::string line = ToJson(event) + "\n";
  for (size_t done = 0; done < line.size();) {
    if (!WaitForRoom(may_skip && done == 0)) {
      if (may_skip && done == 0) return;
      return GiveUp("nobody reads them");
    }
    // What a pipe takes without waiting.
    const size_t part = std::min<size_t>(line.size() - done, PIPE_BUF);
    const ssize_t written = write(fd_, line.data() + done, part);
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (written <= 0) return GiveUp(std::strerror(errno));
    done += static_cast<size_t>(written);
  }
}

bool EventLog::IsStandardOutput() const {
  struct stat events {};
  struct stat output {};
  if (fd_ == STDOUT_FILENO) return true;
  // A terminal, where standard error is most often the same, is read by people.
  return fd_ >= 0 && fstat(fd_, &events) == 0 && fstat(STDOUT_FILENO, &output) == 0 &&
         !S_ISCHR(output.st_mode) && events.st_dev == output.st_dev &&
         events.st_ino == output.st_ino;
}

}  // namespace kcoredump::cmd
