// SPDX-License-Identifier: MIT
#include "kcoredump/strings.h"

#include <unistd.h>

#include <memory>

#include "cmd/commands.h"
#include "cmd/progress.h"

namespace kcoredump::cmd {

namespace {

struct StringsArguments {
  LookOptions look;
  StringsOptions strings;
};

/// Each string as it is found: there may be more than memory has room for.
class StringsPrinter {
 public:
  explicit StringsPrinter(const LookOptions& look) : look_(look) {}

  bool Print(const FoundString& found) {
    std::string text = look_.json ? ToJson(found) : ToText(found);
    if (look_.json_lines) text += "\n";
    if (look_.json && !look_.json_lines) text = (first_ ? "{\"strings\": [\n" : ",\n") + text;
    first_ = false;
    status_ = PrintOut(text, kExitComplete);
    return status_ == kExitComplete;
  }

  /// The rest of the JSON; the status of what was printed, or `otherwise`.
  [[nodiscard]] int Finish(const StringsReport& report, int otherwise) {
    if (status_ != kExitComplete) return status_;
    if (!look_.json) return otherwise;
    const std::string rest = ToJson(report).substr(1) + "\n";
    if (look_.json_lines) return PrintOut("{\"end\":true," + rest, otherwise);
    return PrintOut((first_ ? "{\"strings\": [\n" : "\n") + ("], " + rest), otherwise);
  }

 private:
  const LookOptions& look_;
  bool first_ = true;
  int status_ = kExitComplete;
};

int RunStrings(Kernel& kernel, StringsArguments& arguments) {
  StringsPrinter printer(arguments.look);
  arguments.strings.on_string = [&](const FoundString& found) { return printer.Print(found); };
  arguments.strings.cancel = WatchSignals();
  const bool show = isatty(STDERR_FILENO) == 1 && isatty(STDOUT_FILENO) != 1;
  if (show) arguments.strings.on_progress = ShowVerifyProgress;
  const auto report = FindStrings(kernel, arguments.strings);
  if (show) ClearProgressLine();
  if (!report.ok()) return FailWhere(report.error());
  const StringsReport& done = report.value();
  const bool missing = done.findings.incomplete || done.hole_bytes != 0;
  const int status = !done.complete ? kExitPartial : missing ? kExitHoles : kExitComplete;
  const int printed = printer.Finish(done, status);
  for (const std::string& note : done.findings.notes) PrintNote("note: " + note);
  return printed;
}

}  // namespace

void AddStrings(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<StringsArguments>();
  CLI::App* command =
      app.add_subcommand("strings", "Print the text in all RAM, each with whose it is");
  command->footer(
      std::string(
          "PATTERN is a regular expression (RE2). Owners are a file and an offset, a process\n"
          "and an address, a slab cache, a symbol of the kernel, or what the page is used\n"
          "for. ASCII, and UTF-16 of ASCII characters, marked L. A string ends where its page\n"
          "does. Status 5 says that it was interrupted.\n\n"
          "  kcoredump strings -f web1.elf.zst --min 8 'password|BEGIN .* KEY'\n\n") +
      kExitHelp);
  AddLookOptions(command, arguments->look, "strings");
  command->add_option("PATTERN", arguments->strings.pattern, "Only strings in which it is found")
      ->option_text(" ")
      ->check(NotEmpty());
  command->add_option("--min", arguments->strings.least_characters, "Characters of the shortest")
      ->option_text("N")
      ->check(CLI::Range(uint64_t{1}, kMostLeastCharacters))
      ->capture_default_str();
  command->callback([arguments, &context] {
    context.status =
        WithKernel(arguments->look, [&](Kernel& kernel) { return RunStrings(kernel, *arguments); });
  });
}

}  // namespace kcoredump::cmd
