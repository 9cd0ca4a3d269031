// SPDX-License-Identifier: MIT
#include "kcoredump/check.h"

#include <memory>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

struct CheckArguments {
  LookOptions look;
  CheckOptions options;
};

int RunCheck(Kernel& kernel, const CheckArguments& arguments) {
  const auto report = CheckKernel(kernel, arguments.options);
  if (!report.ok()) return Fail(report.error());
  const int status =
      PrintAnswer(arguments.look.json ? AsJson(arguments.look, ToJson(report.value()))
                                      : ToText(report.value(), StdoutStyle()),
                  report.value().notes);
  return status == kExitIo || report.value().findings.empty() ? status : kExitFindings;
}

}  // namespace

void AddCheck(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<CheckArguments>();
  CLI::App* command = app.add_subcommand("check", "Look for what a rootkit leaves in a kernel");
  command->footer(
      std::string(
          "System calls, interrupt gates, ftrace, kprobes, notifiers, operations of files,\n"
          "sockets and protocols; modules, processes and sockets that one list of the\n"
          "kernel's has and another lacks; text. Kinds of findings: pointer (leads to what\n"
          "is not known code), hidden (one list lacks it), hook (set by the kernel's own\n"
          "means, whoever did it), changed (bytes differ). The last table says what was\n"
          "compared, and what could not be.\n\n"
          "  kcoredump check -f web1.elf.zst\n"
          "  kcoredump check -f web1.elf.zst --against web1-before.elf.zst\n"
          "  kcoredump check --vmlinux /usr/lib/debug/boot/vmlinux-6.1.0-50-amd64\n\n") +
      kExitHelp);
  AddLookOptions(command, arguments->look, "findings");
  command
      ->add_option("--against", arguments->options.against,
                   "An image of the same kernel whose text this one's must equal")
      ->option_text("SIBLING")
      ->check(NotEmpty());
  command
      ->add_option("--vmlinux", arguments->options.vmlinux,
                   "The kernel's ELF file, whose text this one's must equal")
      ->option_text("FILE")
      ->check(NotEmpty());
  command->callback([arguments, &context] {
    context.status =
        WithKernel(arguments->look, [&](Kernel& kernel) { return RunCheck(kernel, *arguments); });
  });
}

}  // namespace kcoredump::cmd
