// SPDX-License-Identifier: MIT
#include "kcoredump/pages.h"

#include <memory>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

struct PagesArguments {
  LookOptions look;
  std::vector<std::string> where;
  uint32_t pid = 0;
  bool of_process = false;
};

int ShowPage(Kernel& kernel, const PagesArguments& arguments, const std::string& where) {
  auto target = kernel.Resolve(where);
  if (!target.ok()) return FailWhere(target.error());
  if (arguments.of_process) {
    target.value().space = Target::Space::kProcess;
    target.value().pid = arguments.pid;
  }
  const auto answer = DescribePage(kernel, target.value());
  if (!answer.ok()) return FailWhere(answer.error());
  return PrintAnswer(
      arguments.look.json ? AsJson(arguments.look, ToJson(answer.value())) : ToText(answer.value()),
      answer.value().findings);
}

/// The status of the first that went wrong.
int ShowPages(Kernel& kernel, const PagesArguments& arguments) {
  int status = kExitComplete;
  for (const std::string& where : arguments.where) {
    if (!arguments.look.json && &where != arguments.where.data()) {
      if (PrintOut("\n", kExitComplete) != kExitComplete) return kExitIo;
    }
    const int each = ShowPage(kernel, arguments, where);
    if (status == kExitComplete) status = each;
  }
  return status;
}

}  // namespace

void AddPages(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<PagesArguments>();
  CLI::App* command =
      app.add_subcommand("pages", "Show what the page behind an address is used for");
  command->footer(
      "WHERE is an address, symbol, symbol+offset, phys:ADDRESS or pid:N:ADDRESS; the address of\n"
      "a struct page stands for its page. Flags, counts, the file or the processes that have it\n"
      "mapped, and the slab object. With --json, one object for each.\n\n"
      "  kcoredump pages phys:0x1234000 -f web1.elf.zst\n"
      "  kcoredump pages 0x7ffe12345678 --pid 4711\n\n" +
      std::string(kExitHelp));
  command->add_option("WHERE", arguments->where, "Addresses")->option_text(" ")->required();
  command->add_option("--pid", arguments->pid, "In the address space of this process")
      ->option_text("N")
      ->check(CLI::NonNegativeNumber);
  AddLookOptions(command, arguments->look);
  command->callback([arguments, command, &context] {
    arguments->of_process = command->count("--pid") != 0;
    context.status =
        WithKernel(arguments->look, [&](Kernel& kernel) { return ShowPages(kernel, *arguments); });
  });
}

}  // namespace kcoredump::cmd
