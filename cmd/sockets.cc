// SPDX-License-Identifier: MIT
#include "kcoredump/sockets.h"

#include <memory>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

int ShowSockets(Kernel& kernel, const LookOptions& look) {
  const auto list = ListSockets(kernel);
  if (!list.ok()) return Fail(list.error());
  return PrintAnswer(
      look.json ? AsJson(look, ToJson(list.value())) : ToText(list.value(), StdoutStyle()),
      list.value().findings);
}

}  // namespace

void AddSockets(CLI::App& app, Context& context) {
  auto options = std::make_shared<LookOptions>();
  CLI::App* command = app.add_subcommand("sockets", "List sockets and who has them open");
  command->footer(
      std::string("As ss(8) shows them: TCP, UDP, raw, UNIX, netlink and packet sockets of every\n"
                  "network namespace, and others that a process has open. PROCESS is\n"
                  "NAME/PID:DESCRIPTOR. Of netlink the ends are port ids, of packet sockets the\n"
                  "Ethernet type and the interface's index.\n\n"
                  "  kcoredump sockets -f web1.elf.zst\n\n") +
      kExitHelp);
  AddLookOptions(command, *options, "sockets");
  command->callback([options, &context] {
    context.status =
        WithKernel(*options, [&](Kernel& kernel) { return ShowSockets(kernel, *options); });
  });
}

}  // namespace kcoredump::cmd
