// SPDX-License-Identifier: MIT
#include <memory>

#include "cmd/commands.h"
#include "kcoredump/check.h"

namespace kcoredump::cmd {

namespace {

struct DiffArguments {
  LookOptions look;
  std::string before;
  std::string after;
};

int RunDiff(const DiffArguments& arguments) {
  const auto diff = DiffKernels(arguments.before, arguments.after);
  if (!diff.ok()) return Fail(diff.error());
  const int status = PrintAnswer(arguments.look.json ? AsJson(arguments.look, ToJson(diff.value()))
                                                     : ToText(diff.value(), StdoutStyle()),
                                 diff.value().findings);
  return status == kExitIo || diff.value().changes.empty() ? status : kExitFindings;
}

}  // namespace

void AddDiff(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<DiffArguments>();
  CLI::App* command = app.add_subcommand("diff", "Compare two images of one machine");
  command->footer(
      std::string(
          "Processes, modules, sockets, mounts, hooks (what check finds), and pages of text\n"
          "and rodata, without what the kernel patches itself. Both images must be of one\n"
          "boot. Nothing is printed when nothing differs.\n\n"
          "  kcoredump diff web1-before.elf.zst web1.elf.zst\n"
          "  kcoredump diff web1.elf.zst /proc/kcore\n\n") +
      kExitHelp);
  AddJsonOptions(command, arguments->look, "changes");
  command->add_option("OLD", arguments->before, "An image of any format")
      ->option_text(" ")
      ->required()
      ->check(NotEmpty());
  command->add_option("NEW", arguments->after, "An image of the same boot")
      ->option_text(" ")
      ->required()
      ->check(NotEmpty());
  command->callback([arguments, &context] { context.status = RunDiff(*arguments); });
}

}  // namespace kcoredump::cmd
