// SPDX-License-Identifier: MIT
#include "kcoredump/slab.h"

#include <memory>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

struct SlabArguments {
  LookOptions look;
  std::string where;
};

int ShowCaches(Kernel& kernel, const LookOptions& look) {
  const auto found = ListSlabCaches(kernel);
  if (!found.ok()) return Fail(found.error());
  return PrintAnswer(
      look.json ? AsJson(look, ToJson(found.value())) : ToText(found.value(), StdoutStyle()),
      found.value().findings);
}

int ShowObject(Kernel& kernel, const SlabArguments& arguments) {
  const auto at = kernel.Resolve(arguments.where);
  if (!at.ok()) return FailWhere(at.error());
  const auto object = FindSlabObject(kernel, at.value().address);
  if (!object.ok()) return FailWhere(object.error());
  return PrintOut(
      arguments.look.json ? AsJson(arguments.look, ToJson(object.value())) : ToText(object.value()),
      kExitComplete);
}

}  // namespace

void AddSlab(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<SlabArguments>();
  CLI::App* command = app.add_subcommand("slab", "List slab caches, or find an address's object");
  command->footer(
      std::string(
          "ACTIVE and TOTAL count objects, as /proc/slabinfo does; OBJECT is what users of\n"
          "a cache have, SIZE what an object takes. With ADDRESS, a kernel address: which\n"
          "object of which cache it lies in.\n\n"
          "  kcoredump slab -f web1.elf.zst\n"
          "  kcoredump slab 0xffff888003a1c040 -f web1.elf.zst\n\n") +
      kExitHelp);
  AddLookOptions(command, arguments->look, "caches");
  command->add_option("ADDRESS", arguments->where, "A kernel address")
      ->option_text(" ")
      ->check(NotEmpty());
  command->callback([arguments, &context] {
    context.status = WithKernel(arguments->look, [&](Kernel& kernel) {
      return arguments->where.empty() ? ShowCaches(kernel, arguments->look)
                                      : ShowObject(kernel, *arguments);
    });
  });
}

}  // namespace kcoredump::cmd
