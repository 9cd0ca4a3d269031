// SPDX-License-Identifier: MIT
#include <memory>

#include "cmd/commands.h"
#include "kcoredump/stacks.h"

namespace kcoredump::cmd {

namespace {

struct BtArguments {
  LookOptions look;
  StackOptions stacks;
  bool all = false;
};

int ShowStacks(Kernel& kernel, const BtArguments& arguments) {
  const auto list = ListStacks(kernel, arguments.stacks);
  if (!list.ok()) return FailWhere(list.error());
  return PrintAnswer(arguments.look.json ? AsJson(arguments.look, ToJson(list.value()))
                                         : ToText(list.value(), StdoutStyle()),
                     list.value().findings);
}

int RunBt(const BtArguments& arguments) {
  if (arguments.all + arguments.stacks.pid.has_value() + arguments.stacks.cpu.has_value() != 1) {
    PrintError("say whose stack: a PID, --cpu N, or --all");
    return kExitUsage;
  }
  return WithKernel(arguments.look, [&](Kernel& kernel) { return ShowStacks(kernel, arguments); });
}

}  // namespace

void AddBt(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<BtArguments>();
  CLI::App* command = app.add_subcommand("bt", "Show kernel stacks of tasks and CPUs");
  command->footer(
      std::string(
          "Each frame says how it was found: switch (where the task was switched away\n"
          "from), registers (of a CPU, in dumps that have them), orc (the kernel's unwind\n"
          "tables), frame pointer, or guess: a word on the stack that a call may have left.\n"
          "x86_64.\n\n"
          "  kcoredump bt 1 -f web1.elf.zst\n"
          "  kcoredump bt --cpu 0 -f crash.elf.zst\n\n") +
      kExitHelp);
  AddLookOptions(command, arguments->look, "stacks");
  command->add_option("PID", arguments->stacks.pid, "A thread's id")->option_text(" ");
  command->add_option("--cpu", arguments->stacks.cpu, "What this CPU was doing")->option_text("N");
  command->add_flag("--all", arguments->all, "Every thread");
  command->callback([arguments, &context] { context.status = RunBt(*arguments); });
}

}  // namespace kcoredump::cmd
