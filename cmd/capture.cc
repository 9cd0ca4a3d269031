// SPDX-License-Identifier: MIT
#include "kcoredump/capture.h"

#include <memory>

#include "cmd/capturing.h"

namespace kcoredump::cmd {

void AddCapture(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<CaptureArguments>();
  CaptureOptions& options = arguments->options;
  options.arguments = context.arguments;
  options.format.clear();
  CLI::App* command = app.add_subcommand("capture", "Capture memory into a snapshot");
  command->footer(
      "The snapshot is a zstd stream of an ELF core: `zstd -dc FILE` unpacks it, but for one with\n"
      "a --base: `kcoredump convert` makes a whole one of that.\n\n"
      "A live capture is never one instant; each frame of a snapshot says when it was read.\n"
      "  kcoredump capture --order volatile -o web1.elf.zst\n"
      "                 what changes soonest within the first moments; kept when interrupted\n"
      "  kcoredump capture --smear 10000 -o web1.elf.zst\n"
      "                 how much of it had changed when all was read, by what pages are used for\n"
      "  kcoredump capture --idle --max-rate 200MB -o web1.elf.zst\n"
      "                 for a machine that has other things to do\n"
      "  kcoredump capture --base web1.elf.zst -o web2.elf.zst\n"
      "                 again, and only what changed\n\n" +
      std::string(kExitHelp));
  command
      ->add_option("-f,--file", options.source,
                   "What to capture: /proc/kcore (default), or an image of any format")
      ->option_text("SOURCE")
      ->check(NotEmpty());
  command
      ->add_option("-o,--output", options.output,
                   "Output file, - for standard output; default: HOST-UTCTIME.elf.zst")
      ->option_text("FILE")
      ->check(NotEmpty());
  AddFormatOption(*command, "--format", *arguments);
  command
      ->add_option_function<std::string>(
          "--order",
          [&options](const std::string& name) {
            options.order = name == "volatile" ? CaptureOrder::kVolatile : CaptureOrder::kPhysical;
          },
          "volatile: page tables, the kernel's data, tasks and slab are read first, and wait on "
          "the\n"
          "disk beside the output for their place in it; default physical, by address")
      ->option_text("{physical,volatile}")
      ->check(CLI::IsMember({"physical", "volatile"}));
  command
      ->add_option("--smear", options.smear_pages,
                   "Read N pages, chosen by chance, again at the end, and say how many changed;\n"
                   "up to 100000, default none")
      ->option_text("N")
      ->check(CLI::Range(uint64_t{1}, kMostSmearPages));
  AddCapturingOptions(*command, *arguments);
  command->callback([arguments, &context] {
    CaptureOptions& chosen = arguments->options;
    if (chosen.format.empty()) chosen.format = FormatOfFileName(chosen.output);
    if (chosen.format.empty()) chosen.format = kDefaultFormat;
    context.status = RunCapture(*arguments, "capture");
  });
}

}  // namespace kcoredump::cmd
