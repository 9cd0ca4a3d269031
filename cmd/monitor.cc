// SPDX-License-Identifier: MIT
#include "cmd/monitor.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <vector>

extern char** environ;

namespace kcoredump::cmd {

namespace {

/// Those that write nothing but their answer, and read nothing but the image.
constexpr std::array<std::string_view, 23> kCommands = {
    "bt",      "dis",     "files", "info",   "irqs",    "list", "log",       "maps",
    "mod",     "mounts",  "pages", "print",  "ps",      "read", "search",    "slab",
    "sockets", "strings", "sym",   "timers", "vmalloc", "vtop", "workqueues"};
constexpr size_t kMaxWords = 64;
constexpr int kAskMs = 50;

/// By white space; quotes of either kind keep words together.
std::vector<std::string> SplitWords(std::string_view text) {
  std::vector<std::string> words;
  bool inside = false;
  char quote = '\0';
  for (const char c : text) {
    const bool space = c == ' ' || c == '\t' || c == '\n';
    if (quote == '\0' && space) {
      inside = false;
      continue;
    }
    if (!inside) words.emplace_back();
    inside = true;
    if (c == quote) {
      quote = '\0';
    } else if (quote == '\0' && (c == '\'' || c == '"')) {
      quote = c;
    } else {
      words.back() += c;
    }
  }
  return words;
}

std::string Refusal(const std::vector<std::string>& words) {
  std::string names;
  for (const std::string_view name : kCommands) names += " " + std::string(name);
  const bool known =
      !words.empty() && std::find(kCommands.begin(), kCommands.end(), words[0]) != kCommands.end();
  if (!known)
    return "monitor COMMAND ARGUMENTS…, as `kcoredump COMMAND`; COMMAND is one of" + names + "\n";
  if (words.size() > kMaxWords) return "too many words\n";
  // Whoever attaches was let in to this image, and to no other file.
  for (const std::string& word : words) {
    const bool is_short = word.size() > 1 && word[0] == '-' && word[1] != '-';
    if (word.starts_with("--file") || (is_short && word.find('f') != std::string::npos)) {
      return "the image is the one that is served: leave " + word + " out\n";
    }
    if (word.starts_with("--follow") || (is_short && word.find('w') != std::string::npos))
      return "a debugger waits for its end, which --follow has not\n";
  }
  return {};
}

/// The child's process id; −1: none could be made.
pid_t Start(const std::vector<std::string>& words, const std::string& file, int out) {
  std::vector<std::string> arguments = {"kcoredump"};
  arguments.insert(arguments.end(), words.begin(), words.end());
  // Behind the command's name, for what follows may be words behind a "--".
  arguments.insert(arguments.begin() + 2, {"-f", file});
  std::vector<char*> pointers;
  pointers.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
  pid_t child = -1;
  const int failed =
      posix_spawn(&child, "/proc/self/exe", &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return failed == 0 ? child : -1;
}

/// Hands on what comes until it ends, or nobody wants more.
void Relay(int in, const std::function<bool(std::string_view)>& output) {
  std::array<char, 4096> buffer;
  pollfd wait{.fd = in, .events = POLLIN, .revents = 0};
  while (true) {
    const int ready = poll(&wait, 1, kAskMs);
    if (ready == 0 || (ready < 0 && errno == EINTR)) {
      if (!output({})) return;
      continue;
    }
    const ssize_t count = read(in, buffer.data(), buffer.size());
    if (count <= 0) return;
    if (!output({buffer.data(), static_cast<size_t>(count)})) return;
  }
}

}  // namespace

void RunMonitor(const std::string& file, std::string_view command,
                const std::function<bool(std::string_view)>& output) {
  const std::vector<std::string> words = SplitWords(command);
  if (const std::string refusal = Refusal(words); !refusal.empty()) {
    (void)output(refusal);
    return;
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return;
  const pid_t child = Start(words, file, ends[1]);
  close(ends[1]);
  if (child < 0) {
    (void)output("the command could not be started\n");
  } else {
    Relay(ends[0], output);
    kill(child, SIGKILL);  // no harm to one that has ended: it is not waited for yet
    while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
  }
  close(ends[0]);
}

}  // namespace kcoredump::cmd
