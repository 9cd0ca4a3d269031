// SPDX-License-Identifier: MIT
#include "kcoredump/search.h"

#include <memory>

#include "cmd/commands.h"
#include "cmd/progress.h"

namespace kcoredump::cmd {

namespace {

struct SearchArguments {
  LookOptions look;
  SearchOptions options;
  std::string range;
  std::string progress = "auto";
};

/// An unknown symbol, or a range without memory, is a slip of the command line.
int FailSearch(const Error& error) {
  if (error.code != ErrorCode::kNotFound) return Fail(error);
  PrintError(error.message);
  return kExitUsage;
}

/// WHERE:LENGTH. WHERE itself may have colons.
int ParseRange(Kernel& kernel, const std::string& text, SearchOptions& options) {
  const size_t colon = text.rfind(':');
  const auto length = colon == std::string::npos
                          ? std::nullopt
                          : ParseNumber(std::string_view(text).substr(colon + 1));
  if (!length) {
    PrintError("\"" + text + "\" is not a range; write init_task:0x1000 or phys:0x1000:4096");
    return kExitUsage;
  }
  const auto at = kernel.Resolve(text.substr(0, colon));
  if (!at.ok()) return FailSearch(at.error());
  options.range = SearchRange{.at = at.value(), .bytes = *length};
  return kExitComplete;
}

int RunSearch(Kernel& kernel, const SearchArguments& arguments) {
  SearchOptions options = arguments.options;
  if (!arguments.range.empty()) {
    const int status = ParseRange(kernel, arguments.range, options);
    if (status != kExitComplete) return status;
  }
  const std::unique_ptr<ProgressDisplay> display = MakeProgressDisplay(arguments.progress);
  const TextStyle style = StdoutStyle();
  bool titled = false;
  bool written = true;
  options.cancel = WatchSignals();
  options.on_progress = [&](const SearchProgress& progress) {
    display->Show({.phase = CapturePhase::kReading,
                   .done_bytes = progress.done_bytes,
                   .total_bytes = progress.total_bytes,
                   .hole_pages = progress.hole_bytes / 4096,
                   .seconds = progress.seconds});
  };
  options.on_match = [&](const SearchMatch& match) {
    if (arguments.look.json) return true;
    display->Clear();
    const std::string row = ToText(match, options, style);
    written = PrintOut(titled ? row : SearchTitle(style) + row, kExitComplete) == kExitComplete;
    titled = true;
    return written;
  };
  const auto report = Search(kernel, options);
  display->Clear();
  if (!report.ok()) return FailSearch(report.error());
  if (!written) return kExitIo;
  const SearchReport& found = report.value();
  const int status = PrintAnswer(
      arguments.look.json ? AsJson(arguments.look, ToJson(found, options)) : "", found.findings);
  PrintNote(Summary(found));
  return found.cancelled && status != kExitIo ? kExitPartial : status;
}

void AddPatternOptions(CLI::App* command, SearchOptions& options) {
  command->add_option("PATTERN", options.pattern, "Text, unless an option says otherwise")
      ->option_text(" ")
      ->required();
  const auto kind = [&options](PatternKind value) {
    return [&options, value] { options.kind = value; };
  };
  CLI::Option* hex = command->add_flag_callback("--hex", kind(PatternKind::kBytes),
                                                "Bytes: '48 8b ?? 05', ? for any digit");
  CLI::Option* word = command->add_flag_callback("--word", kind(PatternKind::kWord),
                                                 "A little-endian number, or a symbol's address");
  CLI::Option* regex = command->add_flag_callback("--regex", kind(PatternKind::kRegex),
                                                  "A regular expression (RE2 syntax) on bytes");
  hex->excludes(word)->excludes(regex);
  word->excludes(regex);
  command->add_option("--width", options.word_bytes, "Bytes of a --word; default 8")
      ->option_text("{1,2,4,8}")
      ->check(CLI::IsMember({1, 2, 4, 8}))
      ->needs(word);
  command->add_flag("--ignore-case", options.ignore_case, "For text and --regex")
      ->excludes(hex)
      ->excludes(word);
  command
      ->add_option("--align", options.alignment,
                   "Only at multiples of N, a power of two; default 1, of a word its width")
      ->option_text("N");
}

void AddScopeOptions(CLI::App* command, SearchArguments& arguments) {
  SearchOptions& options = arguments.options;
  CLI::Option* space =
      command
          ->add_option_function<std::string>(
              "--space",
              [&options](const std::string& name) {
                options.space =
                    name == "kernel" ? Target::Space::kKernel : Target::Space::kPhysical;
              },
              "physical: all RAM, the default; kernel: across the pages of vmalloc space as well")
          ->option_text("{physical,kernel}")
          ->check(CLI::IsMember({"physical", "kernel"}));
  command->add_option("--range", arguments.range, "Only there; WHERE as for read")
      ->option_text("WHERE:LENGTH")
      ->check(NotEmpty())
      ->excludes(space);
  command->add_option("--max", options.max_matches, "Stop after N matches; default 1000")
      ->option_text("N")
      ->check(CLI::Range(uint64_t{1}, kMostMatches));
  command->add_option("--context", options.context_bytes, "Also dump BYTES around each match")
      ->option_text("BYTES")
      ->check(CLI::Range(uint64_t{0}, kMaxContextBytes));
  command->add_option("--threads", options.threads, "Threads; default: one for each CPU")
      ->option_text("N")
      ->check(CLI::Range(0U, kMaxSearchThreads));
  command
      ->add_option("--progress", arguments.progress,
                   "On standard error; default auto: a bar on a terminal")
      ->option_text("{auto,bar,json,none}")
      ->check(CLI::IsMember({"auto", "bar", "json", "none"}));
}

}  // namespace

void AddSearch(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<SearchArguments>();
  CLI::App* command =
      app.add_subcommand("search", "Search memory for text, bytes, words or a regular expression");
  command->footer(
      "Matches are found across pages, never across memory that cannot be read. On the live "
      "kernel\n"
      "a search finds itself, too: its arguments and buffers hold the pattern.\n\n"
      "  kcoredump search 'Linux version' -f web1.elf.zst\n"
      "  kcoredump search --word init_task --space kernel -f web1.elf.zst\n"
      "  kcoredump search --hex '0f 0b ?? 48' --range _stext:0x1000000 --context 32\n\n" +
      std::string(kExitHelp));
  AddPatternOptions(command, arguments->options);
  AddScopeOptions(command, *arguments);
  AddLookOptions(command, arguments->look, "matches");
  command->callback([arguments, &context] {
    context.status =
        WithKernel(arguments->look, [&](Kernel& kernel) { return RunSearch(kernel, *arguments); });
  });
}

}  // namespace kcoredump::cmd
