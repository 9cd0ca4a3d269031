// SPDX-License-Identifier: MIT
//
// Commands without an argument, that list something of the kernel's.
#pragma once

#include <memory>
#include <string>

#include "cmd/commands.h"

namespace kcoredump::cmd {

/// What is asked of the library, and the text before the exit statuses in the help.
template <typename List>
struct KernelQuestion {
  const char* name;
  const char* description;
  const char* footer;
  const char* lines;  ///< the long list in the JSON object
  Result<List> (*ask)(Kernel& kernel);
};

template <typename List>
void AddOfKernel(CLI::App& app, Context& context, const KernelQuestion<List>& question) {
  auto look = std::make_shared<LookOptions>();
  CLI::App* command = app.add_subcommand(question.name, question.description);
  command->footer(std::string(question.footer) + kExitHelp);
  AddLookOptions(command, *look, question.lines);
  command->callback([look, question, &context] {
    context.status = WithKernel(*look, [&](Kernel& kernel) {
      const auto list = question.ask(kernel);
      if (!list.ok()) return Fail(list.error());
      return PrintAnswer(
          look->json ? AsJson(*look, ToJson(list.value())) : ToText(list.value(), StdoutStyle()),
          list.value().findings);
    });
  });
}

}  // namespace kcoredump::cmd
