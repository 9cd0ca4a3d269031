// SPDX-License-Identifier: MIT
//
// Commands whose one argument is a process.
#pragma once

#include <memory>
#include <string>

#include "cmd/commands.h"

namespace kcoredump::cmd {

/// What is asked of the library, and the text before the exit statuses in the help.
template <typename List>
struct ProcessQuestion {
  const char* name;
  const char* description;
  const char* list;  ///< the JSON member of which --json-lines makes lines
  const char* footer;
  Result<List> (*ask)(Kernel& kernel, uint32_t pid);
};

template <typename List>
void AddOfProcess(CLI::App& app, Context& context, const ProcessQuestion<List>& question) {
  struct Arguments {
    LookOptions look;
    uint32_t pid = 0;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(question.name, question.description);
  command->footer(std::string(question.footer) + kExitHelp);
  AddLookOptions(command, arguments->look, question.list);
  command->add_option("PID", arguments->pid, "A process, or a thread of it")
      ->option_text(" ")
      ->required();
  command->callback([arguments, question, &context] {
    context.status = WithKernel(arguments->look, [&](Kernel& kernel) {
      const auto list = question.ask(kernel, arguments->pid);
      if (!list.ok()) return FailWhere(list.error());
      return PrintAnswer(arguments->look.json ? AsJson(arguments->look, ToJson(list.value()))
                                              : ToText(list.value(), StdoutStyle()),
                         list.value().findings);
    });
  });
}

}  // namespace kcoredump::cmd
