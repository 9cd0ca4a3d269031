// SPDX-License-Identifier: MIT
#include <memory>

#include "cmd/commands.h"
#include "kcoredump/tasks.h"

namespace kcoredump::cmd {

namespace {

struct Arguments {
  LookOptions look;
  TaskOptions tasks;
  TaskTable table;
};

int ShowTasks(Kernel& kernel, const Arguments& arguments) {
  auto list = ListTasks(kernel, arguments.tasks);
  if (!list.ok()) return Fail(list.error());
  const TaskList& found = list.value();
  return PrintAnswer(arguments.look.json ? AsJson(arguments.look, ToJson(found))
                                         : ToText(found, arguments.table, StdoutStyle()),
                     found.findings);
}

}  // namespace

void AddPs(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("ps", "List processes and threads, with their arguments and memory");
  command->footer(
      std::string("START is the time since boot. S is the state: R running, S sleeping, D waiting\n"
                  "uninterruptibly, T stopped, t traced, Z zombie, X dead, P parked, I idle.\n"
                  "Kernel threads, and processes whose arguments are not in memory, are shown as\n"
                  "[name].\n\n"
                  "  kcoredump ps -f crash.elf.zst --tree\n"
                  "  kcoredump ps -f crash.elf.zst 1 'ssh*'\n\n") +
      kExitHelp);
  AddLookOptions(command, arguments->look, "tasks");
  command->add_flag("--tree", arguments->table.tree, "Children below their parents");
  command->add_flag("--threads", arguments->table.threads, "A line for each thread");
  command
      ->add_option("ONLY", arguments->tasks.only,
                   "Pids, or names or patterns of names ('ssh*'): list these alone; with --tree\n"
                   "their descendants too")
      ->option_text(" ")
      ->check(NotEmpty());
  command->callback([arguments, &context] {
    arguments->tasks.threads = arguments->table.threads;
    arguments->tasks.descendants = arguments->table.tree;
    context.status =
        WithKernel(arguments->look, [&](Kernel& kernel) { return ShowTasks(kernel, *arguments); });
  });
}

}  // namespace kcoredump::cmd
