// SPDX-License-Identifier: MIT
#include "kcoredump/list.h"

#include <memory>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

struct ListArguments {
  LookOptions look;
  std::string expression;
  ListOptions options;
};

int ShowList(Kernel& kernel, const ListArguments& arguments) {
  const auto answer = WalkAnyList(kernel, arguments.expression, arguments.options);
  if (!answer.ok()) return FailWhere(answer.error());
  return PrintAnswer(arguments.look.json ? AsJson(arguments.look, ToJson(answer.value()))
                                         : ToText(answer.value(), StdoutStyle()),
                     answer.value().findings);
}

}  // namespace

void AddList(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<ListArguments>();
  CLI::App* command = app.add_subcommand("list", "Walk a list or tree of anything");
  command->footer(
      "WHAT is TYPE.member@HEAD: the member, a list_head, hlist_node, llist_node, rb_node or a\n"
      "pointer, links objects of the TYPE; or TYPE@HEAD, where HEAD is an xarray, IDR or maple\n"
      "tree. HEAD is an address, symbol, symbol.member, or TYPE@WHERE with a path as for print.\n\n"
      "  kcoredump list struct\\ module.list@modules --show name\n"
      "  kcoredump list 'struct task_struct.tasks@init_task.tasks' --show pid,comm\n"
      "  kcoredump list 'struct pid@struct pid_namespace@init_pid_ns.idr'\n"
      "  kcoredump list 'struct vm_area_struct@struct task_struct@init_task.mm->mm_mt'\n\n" +
      std::string(kExitHelp));
  command->add_option("WHAT", arguments->expression, "TYPE.member@HEAD")
      ->option_text(" ")
      ->required();
  command->add_option("--show", arguments->options.show, "Members of each entry: pid,comm,mm->pgd")
      ->option_text("PATHS")
      ->delimiter(',')
      ->check(NotEmpty());
  command->add_option("--max", arguments->options.max_entries, "Most entries listed")
      ->option_text("N")
      ->check(CLI::Range(size_t{1}, kMaxListEntries));
  AddLookOptions(command, arguments->look, "entries");
  command->callback([arguments, &context] {
    context.status =
        WithKernel(arguments->look, [&](Kernel& kernel) { return ShowList(kernel, *arguments); });
  });
}

}  // namespace kcoredump::cmd
