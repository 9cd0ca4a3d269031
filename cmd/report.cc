// SPDX-License-Identifier: MIT
#include "kcoredump/report.h"

#include <memory>

#include "cmd/commands.h"
#include "kcoredump/map.h"

namespace kcoredump::cmd {

namespace {

struct ReportArguments {
  LookOptions look;
  std::string output = "-";
  bool force = false;
};

int WriteReport(Kernel& kernel, const ReportArguments& arguments) {
  const auto report = MakeReport(kernel, arguments.look.file);
  if (!report.ok()) return Fail(report.error());
  const Status written = WriteWhole(arguments.output, report.value().html, arguments.force);
  if (!written.ok()) return Fail(written.error());
  return PrintAnswer("", report.value().findings);
}

}  // namespace

void AddReport(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<ReportArguments>();
  CLI::App* command =
      app.add_subcommand("report", "Write one HTML page: map, capture, processes, modules, log");
  command->footer(
      "The page needs no network and runs no script; what the image says is shown as text.\n\n"
      "  kcoredump report web1.elf.zst -o web1.html\n\n" +
      std::string(kExitHelp));
  command
      ->add_option("FILE", arguments->look.file, "An image of any format; default: the live kernel")
      ->option_text(" ")
      ->check(NotEmpty());
  command->add_option("-o,--output", arguments->output, "The new file; default: standard output")
      ->option_text("FILE")
      ->check(NotEmpty());
  command->add_flag("--force", arguments->force, "Replace an existing file");
  command->callback([arguments, &context] {
    context.status = WithKernel(arguments->look,
                                [&](Kernel& kernel) { return WriteReport(kernel, *arguments); });
  });
}

}  // namespace kcoredump::cmd
