// SPDX-License-Identifier: MIT
#include <memory>

#include "cmd/commands.h"
#include "kcoredump/symbols.h"

namespace kcoredump::cmd {

namespace {

constexpr int kExitNotKnown = 1;

/// CLI11 takes "[…]" for the spelling of a list and unwraps it: a glob is put back as it was given.
void RestoreBrackets(const std::vector<std::string>& arguments, std::vector<std::string>& queries) {
  size_t next = 0;
  for (const std::string& argument : arguments) {
    if (next == queries.size()) return;
    if (argument == "[" + queries[next] + "]") queries[next] = argument;
    if (argument == queries[next]) ++next;
  }
}

int RunSym(const LookOptions& look, const std::vector<std::string>& queries,
           const SymbolQueryOptions& options) {
  return WithKernel(look, [&](Kernel& kernel) {
    const auto found = FindSymbols(kernel, queries, options);
    if (!found.ok()) return Fail(found.error());
    const SymbolAnswers& answers = found.value();
    const std::string text =
        look.json ? AsJson(look, ToJson(answers)) : ToText(answers, StdoutStyle());
    const int status = PrintAnswer(text, answers.findings);
    for (const UnknownSymbol& unknown : answers.not_found) {
      PrintError("'" + unknown.query + "': " + unknown.reason);
    }
    return answers.not_found.empty() || status == kExitIo ? status : kExitNotKnown;
  });
}

}  // namespace

void AddSym(CLI::App& app, Context& context) {
  struct Arguments {
    LookOptions look;
    std::vector<std::string> queries;
    SymbolQueryOptions options;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("sym", "Say where symbols are, and which symbol an address belongs to");
  command->footer(
      std::string("Names that stand several times are all listed. An address in vmalloc or module\n"
                  "space answers with its area, one without a symbol with its module, too.\n\n"
                  "  kcoredump sym jiffies 0xffffffff81000010 'tcp_v[46]_*' schedule+0x1c\n\n"
                  "Exit status 1: a name or address is not known; the others as everywhere.\n") +
      kExitHelp);
  command
      ->add_option(
          "WHAT", arguments->queries,
          "Names, NAME+OFFSET, globs (* ? [a-z]), or addresses: 0x…, decimal, 16 hex digits")
      ->option_text(" ")
      ->required();
  AddLookOptions(command, arguments->look, "symbols");
  command
      ->add_option("--max", arguments->options.max_matches,
                   "Most symbols listed for each glob; 0: all; default: 10000")
      ->option_text("N");
  command->callback([arguments, &context] {
    RestoreBrackets(context.arguments, arguments->queries);
    context.status = RunSym(arguments->look, arguments->queries, arguments->options);
  });
}

}  // namespace kcoredump::cmd
