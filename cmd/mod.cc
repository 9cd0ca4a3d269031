// SPDX-License-Identifier: MIT
#include <memory>

#include "cmd/commands.h"
#include "kcoredump/modules.h"

namespace kcoredump::cmd {

namespace {

int ShowModules(Kernel& kernel, const LookOptions& look) {
  auto found = ListModules(kernel);
  if (!found.ok()) return Fail(found.error());
  return PrintAnswer(
      look.json ? AsJson(look, ToJson(found.value())) : ToText(found.value(), StdoutStyle()),
      found.value().findings);
}

}  // namespace

void AddMod(CLI::App& app, Context& context) {
  auto options = std::make_shared<LookOptions>();
  CLI::App* command = app.add_subcommand(
      "mod", "List loaded modules: where they are, their state, taints and users");
  command->footer(
      std::string("TAINTS: P proprietary, F forced, C staging, O out of tree, E unsigned, K live\n"
                  "patch, X auxiliary, N test. REFS and USERS as lsmod shows them. The newest\n"
                  "module comes first.\n\n"
                  "  kcoredump mod -f crash.elf.zst\n\n") +
      kExitHelp);
  AddLookOptions(command, *options, "modules");
  command->callback([options, &context] {
    context.status =
        WithKernel(*options, [&](Kernel& kernel) { return ShowModules(kernel, *options); });
  });
}

}  // namespace kcoredump::cmd
