// SPDX-License-Identifier: MIT
#include "kcoredump/files.h"

#include <memory>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

struct FilesArguments {
  LookOptions look;
  uint32_t pid = 0;
};

int ShowFiles(Kernel& kernel, const FilesArguments& arguments) {
  const auto list = ListOpenFiles(kernel, arguments.pid);
  if (!list.ok()) return FailWhere(list.error());
  return PrintAnswer(
      arguments.look.json ? ToJson(list.value()) + "\n" : ToText(list.value(), StdoutStyle()),
      list.value().findings);
}

}  // namespace

void AddFiles(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<FilesArguments>();
  CLI::App* command = app.add_subcommand("files", "List what a process has open");
  command->footer(
      std::string("As /proc/PID/fd and fdinfo, with the current and the root directory and the\n"
                  "program first. A file without a name any longer is (deleted).\n\n"
                  "  kcoredump files 1 -f web1.elf.zst\n\n") +
      kExitHelp);
  AddLookOptions(command, arguments->look);
  command->add_option("PID", arguments->pid, "A process, or a thread of it")
      ->option_text(" ")
      ->required();
  command->callback([arguments, &context] {
    context.status =
        WithKernel(arguments->look, [&](Kernel& kernel) { return ShowFiles(kernel, *arguments); });
  });
}

}  // namespace kcoredump::cmd
