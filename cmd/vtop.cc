// SPDX-License-Identifier: MIT
#include "kcoredump/vtop.h"

#include <memory>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

struct VtopArguments {
  LookOptions look;
  std::vector<std::string> where;
  uint32_t pid = 0;
  bool of_process = false;
};

int Translate(Kernel& kernel, const VtopArguments& arguments, const std::string& where) {
  auto target = kernel.Resolve(where);
  if (!target.ok()) return Fail(target.error());
  if (arguments.of_process) {
    target.value().space = Target::Space::kProcess;
    target.value().pid = arguments.pid;
  }
  const auto answer = TranslateAddress(kernel, target.value());
  if (!answer.ok()) return Fail(answer.error());
  return PrintAnswer(
      arguments.look.json ? ToJson(answer.value()) : ToText(answer.value(), StdoutStyle()),
      answer.value().findings);
}

/// The status of the first that went wrong.
int TranslateAll(Kernel& kernel, const VtopArguments& arguments) {
  int status = kExitComplete;
  for (const std::string& where : arguments.where) {
    const int each = Translate(kernel, arguments, where);
    if (status == kExitComplete) status = each;
  }
  return status;
}

}  // namespace

void AddVtop(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<VtopArguments>();
  CLI::App* command =
      app.add_subcommand("vtop", "Translate a virtual address: every level of the page tables");
  command->footer(
      "WHERE is an address, symbol, symbol+offset or pid:N:ADDRESS. An address that is not mapped\n"
      "is an answer: the walk is shown as far as it goes. With --json, one object for each.\n\n"
      "  kcoredump vtop init_task -f web1.elf.zst\n"
      "  kcoredump vtop 0x7ffe12345678 --pid 4711\n\n" +
      std::string(kExitHelp));
  command->add_option("WHERE", arguments->where, "Virtual addresses")->option_text(" ")->required();
  command->add_option("--pid", arguments->pid, "In the address space of this process")
      ->option_text("N")
      ->check(CLI::NonNegativeNumber);
  AddLookOptions(command, arguments->look);
  command->callback([arguments, command, &context] {
    arguments->of_process = command->count("--pid") != 0;
    context.status = WithKernel(arguments->look,
                                [&](Kernel& kernel) { return TranslateAll(kernel, *arguments); });
  });
}

}  // namespace kcoredump::cmd
