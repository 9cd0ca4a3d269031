// SPDX-License-Identifier: MIT
#include <sys/ioctl.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "cmd/commands.h"
#include "kcoredump/text.h"

namespace kcoredump::cmd {

namespace {

std::atomic<bool> g_cancelled{false};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<time_t>::is_always_lock_free,
              "set from a signal handler");

/// Signals that follow the first this closely belong to it: timeout(1) sends one to the process and
/// one to its group.
constexpr time_t kSameRequestSeconds = 2;
std::atomic<time_t> g_first_signal{0};

/// Async-signal-safe.
void OnSignal(int number) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (!g_cancelled.exchange(true)) {
    g_first_signal.store(now.tv_sec);
  } else if (now.tv_sec - g_first_signal.load() > kSameRequestSeconds) {
    std::signal(number, SIG_DFL);
    raise(number);
  }
}

}  // namespace

void PrintError(const std::string& message) {
  std::fprintf(stderr, "kcoredump: error: %s\n", Escaped(message).c_str());
}

void PrintNote(const std::string& message) {
  std::fprintf(stderr, "kcoredump: %s\n", Escaped(message).c_str());
}

int Fail(const Error& error) {
  PrintError(error.message);
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
      return kExitUsage;
    case ErrorCode::kPermission:
      return kExitRefused;
    case ErrorCode::kUnreadable:
      return kExitHoles;
    case ErrorCode::kCancelled:
      return kExitPartial;
    case ErrorCode::kCorrupt:
    case ErrorCode::kUnsupported:
    case ErrorCode::kLimitExceeded:
      return kExitCorrupt;
    case ErrorCode::kNotFound:
    case ErrorCode::kIo:
      return kExitIo;
  }
  return kExitIo;
}

int FailWhere(const Error& error) {
  if (error.code != ErrorCode::kNotFound) return Fail(error);
  PrintError(error.message);
  return kExitUsage;
}

CLI::Validator NotEmpty() {
  return CLI::Validator(
      [](const std::string& value) { return std::string(value.empty() ? "an empty name" : ""); },
      "");
}

void AddLookOptions(CLI::App* command, LookOptions& options, std::string_view list) {
  command->add_option("-f,--file", options.file, "An image of any format; default: the live kernel")
      ->option_text("FILE")
      ->check(NotEmpty());
  AddJsonOptions(command, options, list);
}

void AddJsonOptions(CLI::App* command, LookOptions& options, std::string_view list) {
  options.list = list;
  command->add_flag("--json", options.json, "JSON on standard output");
  if (list.empty()) return;
  command->add_flag_callback(
      "--json-lines", [&options] { options.json = options.json_lines = true; },
      "The same, an object a line; the last one has \"end\"");
}

std::string AsJson(const LookOptions& options, const std::string& json) {
  if (options.json_lines) return JsonLines(json, options.list);
  return json.ends_with('\n') ? json : json + "\n";
}

int WithKernel(const LookOptions& options, const std::function<int(Kernel&)>& look) {
  auto kernel = Kernel::Open(options.file);
  if (!kernel.ok()) return Fail(kernel.error());
  const int status = look(kernel.value());
  for (const std::string& caveat : kernel.value().Caveats()) PrintNote("note: " + caveat);
  const bool torn = kernel.value().torn();
  return status == kExitComplete && torn ? kExitPartial : status;
}

int PrintAnswer(const std::string& text, const Findings& findings) {
  const int status = PrintOut(text, findings.incomplete ? kExitHoles : kExitComplete);
  for (const std::string& note : findings.notes) PrintNote("note: " + note);
  return status;
}

TextStyle StdoutStyle() {
  TextStyle style;
  if (isatty(STDOUT_FILENO) != 1) return style;
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) style.columns = size.ws_col;
  const char* no_colour = std::getenv("NO_COLOR");
  style.colour = no_colour == nullptr || *no_colour == '\0';
  return style;
}

std::optional<uint64_t> ParseNumber(std::string_view text) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  if (hex) text.remove_prefix(2);
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, hex ? 16 : 10);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

int PrintOut(const std::string& text, int otherwise) {
  const bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (written) return otherwise;
  PrintError("cannot write to standard output");
  return kExitIo;
}

const std::atomic<bool>* WatchSignals() {
  struct sigaction action {};
  action.sa_handler = OnSignal;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction inherited {};
    sigaction(number, nullptr, &inherited);
    // nohup(1), and a shell that starts it in the background, mean it to go on.
    if (inherited.sa_handler != SIG_IGN) sigaction(number, &action, nullptr);
  }
  return &g_cancelled;
}

}  // namespace kcoredump::cmd
