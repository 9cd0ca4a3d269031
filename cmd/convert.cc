// SPDX-License-Identifier: MIT
#include <memory>

#include "cmd/capturing.h"

namespace kcoredump::cmd {

void AddConvert(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<CaptureArguments>();
  CaptureOptions& options = arguments->options;
  options.arguments = context.arguments;
  options.format.clear();
  CLI::App* command = app.add_subcommand("convert", "Write a dump anew in another format");
  command->footer(
      "Any format that `capture -f` takes becomes any format that it writes. What the new format\n"
      "cannot hold is said, and kept in OUT.json.\n\n"
      "  kcoredump convert web1.elf.zst web1.kdump\n"
      "  kcoredump convert web1.elf.zst - --to flattened | ssh collector 'cat >web1.flat'\n"
      "  kcoredump convert web2.elf.zst whole.elf.zst\n"
      "                 an incremental snapshot and its base in one\n\n" +
      std::string(kExitHelp));
  command->add_option("IN", options.source, "A dump")->option_text(" ")->required();
  command->add_option("OUT", options.output, "The new file, or - for standard output")
      ->option_text(" ")
      ->required();
  AddFormatOption(*command, "--to", *arguments);
  AddCapturingOptions(*command, *arguments);
  command->callback([arguments, &context] {
    CaptureOptions& chosen = arguments->options;
    if (chosen.format.empty()) chosen.format = FormatOfFileName(chosen.output);
    if (chosen.format.empty()) {
      PrintError("the name " + chosen.output + " does not tell the format; say it with --to");
      context.status = kExitUsage;
      return;
    }
    context.status = RunCapture(*arguments, "conversion");
  });
}

}  // namespace kcoredump::cmd
