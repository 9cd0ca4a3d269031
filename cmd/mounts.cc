// SPDX-License-Identifier: MIT
#include "kcoredump/mounts.h"

#include <memory>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

struct MountsArguments {
  LookOptions look;
  uint32_t pid = 1;
};

int ShowMounts(Kernel& kernel, const MountsArguments& arguments) {
  const auto list = ListMounts(kernel, arguments.pid);
  if (!list.ok()) return FailWhere(list.error());
  return PrintAnswer(arguments.look.json ? AsJson(arguments.look, ToJson(list.value()))
                                         : ToText(list.value(), StdoutStyle()),
                     list.value().findings);
}

}  // namespace

void AddMounts(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<MountsArguments>();
  CLI::App* command = app.add_subcommand("mounts", "List what is mounted");
  command->footer(
      std::string(
          "As /proc/PID/mountinfo. OPTIONS are those that every file system has; super-ro:\n"
          "the file system is read-only, not this mount alone; hidden: the process cannot\n"
          "get there from its root directory, so that /proc does not show it.\n\n"
          "  kcoredump mounts -f web1.elf.zst\n"
          "  kcoredump mounts --pid 4711 -f web1.elf.zst\n\n") +
      kExitHelp);
  AddLookOptions(command, arguments->look, "mounts");
  command->add_option("--pid", arguments->pid, "In this process's mount namespace; default 1")
      ->option_text("N");
  command->callback([arguments, &context] {
    context.status =
        WithKernel(arguments->look, [&](Kernel& kernel) { return ShowMounts(kernel, *arguments); });
  });
}

}  // namespace kcoredump::cmd
