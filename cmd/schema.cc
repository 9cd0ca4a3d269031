// SPDX-License-Identifier: MIT
#include "kcoredump/schema.h"

#include <memory>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

int PrintSchema(const std::string& name) {
  if (const auto text = FindJsonSchema(name)) return PrintOut(std::string(*text), kExitComplete);
  std::string names;
  for (const JsonSchema& schema : JsonSchemas()) {
    names += (names.empty() ? "" : ", ") + std::string(schema.name);
  }
  PrintError("no schema of the name " + name + "; there are " + names);
  return kExitUsage;
}

int ListSchemas() {
  std::string text;
  for (const JsonSchema& schema : JsonSchemas()) text += std::string(schema.name) + "\n";
  return PrintOut(text, kExitComplete);
}

}  // namespace

void AddSchema(CLI::App& app, Context& context) {
  auto name = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("schema", "Print the JSON Schema of what a command prints with --json");
  command->footer(
      std::string(
          "convert prints what capture does. Besides commands there are events (of capture\n"
          "--events), progress (of --progress json) and version. A line of --json-lines is\n"
          "an element of the list that \"x-lines\" names; the last is the rest, with \"end\".\n\n"
          "  kcoredump schema ps\n\n") +
      kExitHelp);
  command->add_option("COMMAND", *name, "Of this command; without: list the names")
      ->option_text(" ");
  command->callback([name, &context] {
    context.status =
        name->empty() ? ListSchemas() : PrintSchema(*name == "convert" ? "capture" : *name);
  });
}

}  // namespace kcoredump::cmd
