// SPDX-License-Identifier: MIT
#include "kcoredump/dis.h"

#include <memory>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

struct DisArguments {
  LookOptions look;
  std::string where;
  DisassembleOptions options;
  bool bytes = false;
};

/// A process that is not there is a slip of the command line, as an unknown name is.
int FailDisassemble(const Error& error) {
  return error.code == ErrorCode::kNotFound ? FailWhere(error) : Fail(error);
}

/// Prints what is readable, up to the first hole, which is an error.
int Show(Kernel& kernel, const DisArguments& arguments) {
  const auto at = kernel.Resolve(arguments.where);
  if (!at.ok()) return FailWhere(at.error());
  const auto found = Disassemble(kernel, at.value(), arguments.options);
  if (!found.ok()) return FailDisassemble(found.error());
  const DisassembleAnswer& answer = found.value();
  const std::string text = arguments.look.json
                               ? ToJson(answer)
                               : ToText(answer, {.style = StdoutStyle(), .bytes = arguments.bytes});
  const int status = PrintAnswer(text, answer.findings);
  if (answer.failure.empty() || status == kExitIo) return status;
  PrintError(answer.failure);
  return answer.not_reached ? kExitPartial : kExitHoles;
}

}  // namespace

void AddDis(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<DisArguments>();
  CLI::App* command =
      app.add_subcommand("dis", "Disassemble code as memory holds it now, with names");
  command->footer(
      "WHERE is an address, symbol, symbol+offset, phys:ADDRESS or pid:N:ADDRESS. What the kernel\n"
      "patched is shown as it is: static keys, and ftrace's calls or the nops in their place.\n\n"
      "  kcoredump dis schedule --function -f web1.elf.zst\n"
      "  kcoredump dis vfs_read+0x20 8 --bytes\n"
      "  kcoredump dis 0xffffffffc0201000 --json\n\n" +
      std::string(kExitHelp));
  command->add_option("WHERE", arguments->where, "Where to begin")->option_text(" ")->required();
  DisassembleOptions& options = arguments->options;
  CLI::Option* count =
      command->add_option("COUNT", options.count, "How many instructions; default 16")
          ->option_text(" ")
          ->check(CLI::Range(size_t{1}, kMaxInstructions));
  command
      ->add_flag("--function", options.function,
                 "All of the symbol that contains WHERE, from its start to its end")
      ->excludes(count);
  command->add_flag("--bytes", arguments->bytes, "Also the bytes of each instruction");
  command
      ->add_option_function<std::string>(
          "--syntax",
          [&options](const std::string& name) {
            options.syntax = name == "intel" ? AssemblySyntax::kIntel : AssemblySyntax::kAtt;
          },
          "Of x86: att, the default, or intel")
      ->option_text("{att,intel}")
      ->check(CLI::IsMember({"att", "intel"}));
  AddLookOptions(command, arguments->look);
  command->callback([arguments, &context] {
    context.status =
        WithKernel(arguments->look, [&](Kernel& kernel) { return Show(kernel, *arguments); });
  });
}

}  // namespace kcoredump::cmd
