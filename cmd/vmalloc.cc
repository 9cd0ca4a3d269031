// SPDX-License-Identifier: MIT
#include <memory>

#include "cmd/commands.h"
#include "kcoredump/modules.h"

namespace kcoredump::cmd {

namespace {

struct VmallocArguments {
  LookOptions look;
  bool from_memory = false;
  std::vector<std::string> where;
};

/// Symbols are as good as addresses.
Result<VmallocOptions> OptionsOf(Kernel& kernel, const VmallocArguments& arguments) {
  VmallocOptions options{.from_memory = arguments.from_memory, .addresses = {}};
  for (const std::string& where : arguments.where) {
    auto target = kernel.Resolve(where);
    if (!target.ok()) return std::move(target.error());
    if (target.value().space != Target::Space::kKernel) {
      return Error{.code = ErrorCode::kInvalidArgument,
                   .message = where + " is not a virtual address of the kernel"};
    }
    options.addresses.push_back(target.value().address);
  }
  return options;
}

int ShowAreas(Kernel& kernel, const VmallocArguments& arguments) {
  const auto options = OptionsOf(kernel, arguments);
  if (!options.ok()) return Fail(options.error());
  auto found = ListVmallocAreas(kernel, options.value());
  if (!found.ok()) return Fail(found.error());
  return PrintAnswer(arguments.look.json ? AsJson(arguments.look, ToJson(found.value()))
                                         : ToText(found.value(), StdoutStyle()),
                     found.value().findings);
}

}  // namespace

void AddVmalloc(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<VmallocArguments>();
  CLI::App* command = app.add_subcommand(
      "vmalloc", "List the areas of vmalloc space: their pages, kinds and who asked for them");
  command->footer(
      std::string("From /proc/vmallocinfo or the snapshot's copy of it where its addresses are\n"
                  "real, else from the kernel's own lists in memory. Unpurged areas are freed but\n"
                  "not yet unmapped.\n\n"
                  "  kcoredump vmalloc -f crash.elf.zst 0xffffc90000010123\n\n") +
      kExitHelp);
  AddLookOptions(command, arguments->look, "areas");
  command->add_flag("--from-memory", arguments->from_memory,
                    "Read the kernel's own lists even where there is a text");
  command
      ->add_option("ADDRESS", arguments->where,
                   "Only the areas that contain these addresses or symbols")
      ->option_text(" ")
      ->check(NotEmpty());
  command->callback([arguments, &context] {
    context.status =
        WithKernel(arguments->look, [&](Kernel& kernel) { return ShowAreas(kernel, *arguments); });
  });
}

}  // namespace kcoredump::cmd
