// SPDX-License-Identifier: MIT
#include "kcoredump/print.h"

#include <memory>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

struct PrintArguments {
  LookOptions look;
  std::string expression;
  PrintOptions options;
  bool layout = false;
};

int ShowValue(Kernel& kernel, const PrintArguments& arguments) {
  const auto answer = ReadValue(kernel, arguments.expression, arguments.options);
  if (!answer.ok()) return FailWhere(answer.error());
  const int status =
      PrintAnswer(arguments.look.json ? ToJson(answer.value()) : ToText(answer.value()),
                  answer.value().findings);
  return status == kExitHoles && answer.value().not_reached ? kExitPartial : status;
}

int ShowLayout(Kernel& kernel, const PrintArguments& arguments) {
  const auto answer = ReadLayout(kernel, arguments.expression, arguments.options);
  if (!answer.ok()) return FailWhere(answer.error());
  return PrintAnswer(
      arguments.look.json ? ToJson(answer.value()) : ToText(answer.value(), StdoutStyle()),
      answer.value().findings);
}

}  // namespace

void AddPrint(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<PrintArguments>();
  CLI::App* command = app.add_subcommand("print", "Show typed data, or the layout of a type");
  command->footer(
      "WHAT is TYPE@WHERE and a path: .member, ->member, [3], and at the end [3..7]. WHERE is an\n"
      "address, symbol, symbol+offset, phys:ADDRESS or pid:N:ADDRESS. [0] follows a pointer to "
      "all\n"
      "that it points to. With --layout WHAT is TYPE and a path, and nothing is read.\n\n"
      "  kcoredump print 'struct task_struct@init_task.comm'\n"
      "  kcoredump print 'struct list_head@modules.next[0]' -f web1.elf.zst\n"
      "  kcoredump print 'void *[16]@sys_call_table' -f web1.elf.zst\n"
      "  kcoredump print --layout 'struct task_struct.se'\n\n" +
      std::string(kExitHelp));
  command->add_option("WHAT", arguments->expression, "TYPE@WHERE and a path")
      ->option_text(" ")
      ->required();
  command
      ->add_option("--depth", arguments->options.depth,
                   "How deep structs within structs are shown; default 1")
      ->option_text("N")
      ->check(CLI::Range(1U, kMaxPrintDepth));
  command
      ->add_option("--max", arguments->options.max_elements,
                   "Most elements shown of each array; 0: all; default 16")
      ->option_text("N");
  command->add_flag("--layout", arguments->layout, "Offsets, sizes and holes of a type");
  AddLookOptions(command, arguments->look);
  command->callback([arguments, &context] {
    context.status = WithKernel(arguments->look, [&](Kernel& kernel) {
      return arguments->layout ? ShowLayout(kernel, *arguments) : ShowValue(kernel, *arguments);
    });
  });
}

}  // namespace kcoredump::cmd
