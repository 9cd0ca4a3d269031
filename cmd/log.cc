// SPDX-License-Identifier: MIT
#include "kcoredump/log.h"

#include <ctime>
#include <memory>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

struct LogArguments {
  LookOptions look;
  std::string levels;
  std::string facilities;
  std::optional<size_t> tail;
  bool decode = false;
  bool follow = false;
};

constexpr timespec kPollInterval = {.tv_sec = 0, .tv_nsec = 200'000'000};

Result<LogOptions> OptionsOf(const LogArguments& arguments) {
  LogOptions options;
  if (!arguments.levels.empty()) {
    auto levels = ParseLogLevels(arguments.levels);
    if (!levels.ok()) return std::move(levels.error());
    options.levels = levels.value();
  }
  if (!arguments.facilities.empty()) {
    auto facilities = ParseLogFacilities(arguments.facilities);
    if (!facilities.ok()) return std::move(facilities.error());
    options.facilities = facilities.value();
  }
  options.tail = arguments.tail;
  options.finished_only = arguments.follow;
  return options;
}

LogTextOptions TextOf(const LogArguments& arguments) {
  return {.colour = StdoutStyle().colour, .decode = arguments.decode};
}

/// Until a signal, or until nobody reads any more.
int Follow(Kernel& kernel, const LogArguments& arguments, LogOptions options) {
  const std::atomic<bool>* cancelled = WatchSignals();
  while (!cancelled->load()) {
    const auto log = ReadLog(kernel, options);
    if (!log.ok()) return Fail(log.error());
    const KernelLog& found = log.value();
    const int status = PrintOut(
        arguments.look.json ? ToJsonLines(found) : ToText(found, TextOf(arguments)), kExitComplete);
    if (status != kExitComplete) return status;
    for (const std::string& note : found.findings.notes) PrintNote("note: " + note);
    if (found.last_sequence) options.after_sequence = found.last_sequence;
    options.tail = std::nullopt;
    nanosleep(&kPollInterval, nullptr);
  }
  return kExitComplete;
}

int RunLog(const LogArguments& arguments) {
  const auto options = OptionsOf(arguments);
  if (!options.ok()) return Fail(options.error());
  if (arguments.follow && arguments.look.file != kKcorePath) {
    PrintError("--follow: only the live kernel's log goes on, a file's does not");
    return kExitUsage;
  }
  return WithKernel(arguments.look, [&](Kernel& kernel) {
    if (arguments.follow) return Follow(kernel, arguments, options.value());
    const auto log = ReadLog(kernel, options.value());
    if (!log.ok()) return Fail(log.error());
    return PrintAnswer(arguments.look.json ? AsJson(arguments.look, ToJson(log.value()))
                                           : ToText(log.value(), TextOf(arguments)),
                       log.value().findings);
  });
}

}  // namespace

void AddLog(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<LogArguments>();
  CLI::App* command =
      app.add_subcommand("log", "The kernel's log, read from memory, as dmesg has it");
  command->footer(
      "Examples:\n  kcoredump log -f host.kcd --level warn+\n"
      "  kcoredump log --follow --json\n\n" +
      std::string(kExitHelp));
  AddLookOptions(command, arguments->look, "records");
  command
      ->add_option("-l,--level", arguments->levels,
                   "Only these levels: emerg, alert, crit, err, warn, notice, info, debug; warn+ "
                   "is warn and all graver ones")
      ->option_text("LEVEL[+][,…]")
      ->check(NotEmpty());
  command->add_option("--facility", arguments->facilities, "Only these: kern, user, daemon, …")
      ->option_text("NAME[,…]")
      ->check(NotEmpty());
  command->add_option("-n,--tail", arguments->tail, "Only the last N records")->option_text("N");
  command->add_flag("-x,--decode", arguments->decode,
                    "Facility, level and caller (T: thread, C: CPU) of each line");
  command->add_flag("-w,--follow", arguments->follow,
                    "Go on with what the live kernel says, until interrupted; with --json, one "
                    "object a line");
  command->callback([arguments, &context] { context.status = RunLog(*arguments); });
}

}  // namespace kcoredump::cmd
