// SPDX-License-Identifier: MIT
#include "serve/monitor_run.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace kcoredump {

namespace {

/// Whether somebody still holds the other end of a pipe.
bool IsWanted(int pipe) {
  pollfd wait{.fd = pipe, .events = 0, .revents = 0};
  return poll(&wait, 1, 0) <= 0 || (wait.revents & POLLERR) == 0;
}

/// False: nobody takes it any more.
bool WriteAll(int pipe, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(pipe, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    text.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

}  // namespace

std::unique_ptr<MonitorRun> MonitorRun::Start(const DebugTarget& target, std::string command) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return nullptr;
  std::unique_ptr<MonitorRun> run(new MonitorRun(UniqueFd(ends[0])));
  UniqueFd out(ends[1]);
  try {
    run->thread_ = std::thread([&target, command = std::move(command), out = std::move(out)] {
      target.Monitor(command, [&](std::string_view text) {
        return text.empty() ? IsWanted(out.get()) : WriteAll(out.get(), text);
      });
    });
  } catch (const std::system_error&) {
    return nullptr;
  }
  return run;
}

MonitorRun::~MonitorRun() {
  in_.Reset();
  if (thread_.joinable()) thread_.join();
}

}  // namespace kcoredump
