// SPDX-License-Identifier: MIT
#include <memory>

#include "cmd/commands.h"
#include "kcoredump/isf.h"
#include "kcoredump/text.h"

namespace kcoredump::cmd {

namespace {

struct IsfArguments {
  LookOptions look;
  std::string output = "-";
  bool force = false;
};

int ExportIsf(Kernel& kernel, const IsfArguments& arguments) {
  const auto report = WriteIsf(kernel, arguments.output, arguments.force);
  if (!report.ok()) return Fail(report.error());
  const IsfReport& done = report.value();
  PrintNote(Grouped(done.types) + " types, " + Grouped(done.enums) + " enums and " +
            Grouped(done.symbols) + " symbols, " + Grouped(done.typed_symbols) +
            " of them with their type");
  return PrintAnswer("", done.findings);
}

}  // namespace

void AddExport(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<IsfArguments>();
  auto what = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("export", "Write what other tools want to know of a kernel");
  command->footer(
      "isf: Volatility 3's symbol file for just this kernel, from BTF and kallsyms alone, without\n"
      "debuginfo. Volatility 3 looks for it in its folder volatility3/symbols/linux.\n\n"
      "  kcoredump export isf -f web1.elf.zst -o web1.json\n\n" +
      std::string(kExitHelp));
  command->add_option("WHAT", *what, "isf")
      ->option_text(" ")
      ->required()
      ->check(CLI::IsMember({"isf"}));
  command
      ->add_option("-f,--file", arguments->look.file,
                   "A dump of any format; default: the live kernel")
      ->option_text("FILE")
      ->check(NotEmpty());
  command->add_option("-o,--output", arguments->output, "The new file; default: standard output")
      ->option_text("FILE")
      ->check(NotEmpty());
  command->add_flag("--force", arguments->force, "Replace an existing file");
  command->callback([arguments, what, &context] {
    context.status =
        WithKernel(arguments->look, [&](Kernel& kernel) { return ExportIsf(kernel, *arguments); });
  });
}

}  // namespace kcoredump::cmd
