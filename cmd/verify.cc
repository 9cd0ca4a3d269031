// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <memory>

#include "cmd/commands.h"
#include "cmd/progress.h"
#include "kcoredump/inspect.h"

namespace kcoredump::cmd {

namespace {

int StatusOf(const VerifyReport& report) {
  if (!report.damage.empty()) return kExitCorrupt;
  if (!report.complete) return kExitPartial;
  return report.pages.holes() != 0 ? kExitHoles : kExitComplete;
}

int RunVerify(const std::string& path, unsigned threads, bool json) {
  VerifyOptions options{.threads = threads, .on_progress = nullptr, .cancel = WatchSignals()};
  const bool show = isatty(STDERR_FILENO) == 1;
  if (show) options.on_progress = ShowVerifyProgress;
  const auto report = Verify(path, options);
  if (show) ClearProgressLine();
  if (!report.ok()) return Fail(report.error());
  const VerifyReport& found = report.value();
  return PrintOut(json ? ToJson(found, path) + "\n" : ToText(found), StatusOf(found));
}

}  // namespace

void AddVerify(CLI::App& app, Context& context) {
  struct Arguments {
    std::string file;
    unsigned threads = 0;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "verify", "Check an image: all that a snapshot consists of, every page of any other");
  command->footer(kExitHelp);
  command->add_option("FILE", arguments->file, "An image of any format")
      ->option_text(" ")
      ->required()
      ->check(NotEmpty());
  command->add_option("--threads", arguments->threads, "Threads; default: one for each CPU")
      ->option_text("N")
      ->check(CLI::Range(0, 1024));
  command->add_flag("--json", arguments->json, "One JSON object on standard output");
  command->callback([arguments, &context] {
    context.status = RunVerify(arguments->file, arguments->threads, arguments->json);
  });
}

}  // namespace kcoredump::cmd
