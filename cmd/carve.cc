// SPDX-License-Identifier: MIT
#include "kcoredump/carve.h"

#include <memory>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

struct CarveArguments {
  LookOptions look;
  CarveOptions carve;
};

int RunCarve(Kernel& kernel, CarveArguments& arguments) {
  arguments.carve.cancel = WatchSignals();
  const auto report = Carve(kernel, arguments.carve);
  if (!report.ok()) return FailWhere(report.error());
  return PrintAnswer(
      arguments.look.json ? AsJson(arguments.look, ToJson(report.value())) : ToText(report.value()),
      report.value().findings);
}

}  // namespace

void AddCarve(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<CarveArguments>();
  CLI::App* command = app.add_subcommand("carve", "Write a process's memory as a core for gdb");
  command->footer(
      std::string(
          "An ELF core with the registers of each thread, what is mapped, and the pages that\n"
          "are in memory. What could not be had is a gap in it, counted by the reason. Status 3\n"
          "says that pages are missing from the image. x86_64.\n\n"
          "  kcoredump carve 812 -f web1.elf.zst -o sshd.core\n"
          "  gdb /usr/sbin/sshd sshd.core\n\n") +
      kExitHelp);
  AddLookOptions(command, arguments->look);
  command->add_option("PID", arguments->carve.pid, "A process, or a thread of it")
      ->option_text(" ")
      ->required();
  command->add_option("-o,--output", arguments->carve.output, "The new file")
      ->option_text("FILE")
      ->required()
      ->check(NotEmpty());
  command->add_flag("--force", arguments->carve.force, "Replace an existing file");
  command->callback([arguments, &context] {
    context.status =
        WithKernel(arguments->look, [&](Kernel& kernel) { return RunCarve(kernel, *arguments); });
  });
}

}  // namespace kcoredump::cmd
