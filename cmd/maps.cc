// SPDX-License-Identifier: MIT
#include "kcoredump/maps.h"

#include <memory>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

struct MapsArguments {
  LookOptions look;
  uint32_t pid = 0;
};

int ShowMappings(Kernel& kernel, const MapsArguments& arguments) {
  const auto list = ListMappings(kernel, arguments.pid);
  if (!list.ok()) return FailWhere(list.error());
  return PrintAnswer(
      arguments.look.json ? ToJson(list.value()) + "\n" : ToText(list.value(), StdoutStyle()),
      list.value().findings);
}

}  // namespace

void AddMaps(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<MapsArguments>();
  CLI::App* command = app.add_subcommand("maps", "List what a process has mapped");
  command->footer(
      std::string("As /proc/PID/maps. PERM ends with p for private, s for shared. Read what is\n"
                  "mapped with `kcoredump read pid:PID:ADDRESS`.\n\n"
                  "  kcoredump maps 1 -f web1.elf.zst\n\n") +
      kExitHelp);
  AddLookOptions(command, arguments->look);
  command->add_option("PID", arguments->pid, "A process, or a thread of it")
      ->option_text(" ")
      ->required();
  command->callback([arguments, &context] {
    context.status = WithKernel(arguments->look,
                                [&](Kernel& kernel) { return ShowMappings(kernel, *arguments); });
  });
}

}  // namespace kcoredump::cmd
