// SPDX-License-Identifier: MIT
//
// The subcommands. Each Add… hangs one into the program's option tree; its action stores the exit
// status.
#pragma once

#include <CLI/CLI.hpp>
#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kcoredump/kernel.h"
#include "kcoredump/result.h"

namespace kcoredump::cmd {

/// Exit statuses, as --help and README list them.
enum ExitCode : int {
  kExitComplete = 0,
  kExitUsage = 2,
  kExitHoles = 3,
  kExitRefused = 4,
  kExitPartial = 5,
  kExitCorrupt = 6,
  kExitIo = 7,
  kExitFindings = 10,
};

inline constexpr char kExitHelp[] =
    "Exit status: 0 complete; 2 usage; 3 complete but with unreadable pages; 4 refused (no kcore,\n"
    "no CAP_SYS_RAWIO, lockdown); 5 partial; 6 input corrupt or unsupported; 7 I/O error;\n"
    "10 findings (check) or differences (diff).";

struct Context {
  std::vector<std::string> arguments;  ///< argv
  int status = kExitComplete;
};

void AddCapture(CLI::App& app, Context& context);
void AddConvert(CLI::App& app, Context& context);
void AddExport(CLI::App& app, Context& context);
void AddInfo(CLI::App& app, Context& context);
void AddVerify(CLI::App& app, Context& context);
void AddRead(CLI::App& app, Context& context);
void AddDis(CLI::App& app, Context& context);
void AddPrint(CLI::App& app, Context& context);
void AddList(CLI::App& app, Context& context);
void AddSym(CLI::App& app, Context& context);
void AddVtop(CLI::App& app, Context& context);
void AddSearch(CLI::App& app, Context& context);
void AddLog(CLI::App& app, Context& context);
void AddMap(CLI::App& app, Context& context);
void AddPs(CLI::App& app, Context& context);
void AddBt(CLI::App& app, Context& context);
void AddFiles(CLI::App& app, Context& context);
void AddMaps(CLI::App& app, Context& context);
void AddMounts(CLI::App& app, Context& context);
void AddSockets(CLI::App& app, Context& context);
void AddMod(CLI::App& app, Context& context);
void AddVmalloc(CLI::App& app, Context& context);
void AddSlab(CLI::App& app, Context& context);
void AddCheck(CLI::App& app, Context& context);
void AddDiff(CLI::App& app, Context& context);
void AddPages(CLI::App& app, Context& context);
void AddStrings(CLI::App& app, Context& context);
void AddCarve(CLI::App& app, Context& context);
void AddIrqs(CLI::App& app, Context& context);
void AddTimers(CLI::App& app, Context& context);
void AddWorkqueues(CLI::App& app, Context& context);
void AddServe(CLI::App& app, Context& context);
void AddMount(CLI::App& app, Context& context);
void AddReport(CLI::App& app, Context& context);
void AddSchema(CLI::App& app, Context& context);

/// kcoredump.1 and kcoredump-COMMAND.1 for each command, made from the tree, in an existing folder.
void WriteManPages(const CLI::App& app, const std::string& folder);

/// "kcoredump: …" on standard error, safe for a terminal.
void PrintError(const std::string& message);
void PrintNote(const std::string& message);
/// Prints the error and returns the exit status that goes with it.
[[nodiscard]] int Fail(const Error& error);
/// As Fail; an unknown name, type or process is a slip of the command line.
[[nodiscard]] int FailWhere(const Error& error);

/// For options whose value must not be an empty string.
[[nodiscard]] CLI::Validator NotEmpty();

/// -f and --json, as every command takes them that looks inside a kernel.
struct LookOptions {
  std::string file = DefaultSource();
  bool json = false;  ///< or --json-lines
  bool json_lines = false;
  std::string_view list;  ///< of the JSON object; its elements are lines of --json-lines
};
/// `list`: the long list in the command's JSON object; empty: there is none, and no --json-lines.
void AddLookOptions(CLI::App* command, LookOptions& options, std::string_view list = {});

/// As AddLookOptions, without -f.
void AddJsonOptions(CLI::App* command, LookOptions& options, std::string_view list = {});

/// `json`, an object, as --json or --json-lines print it.
[[nodiscard]] std::string AsJson(const LookOptions& options, const std::string& json);

/// Opens the image and hands it to `look`, whose exit status is returned; an error of Open is
/// printed. What is found out about the image as a whole (Kernel::Caveats) is noted at the end,
/// and a torn image turns status 0 into kExitPartial.
[[nodiscard]] int WithKernel(const LookOptions& options, const std::function<int(Kernel&)>& look);

/// Prints an answer and its findings' notes; kExitHoles when something is missing from it.
[[nodiscard]] int PrintAnswer(const std::string& text, const Findings& findings);

/// The width of the terminal on standard output, and colours if it is one and NO_COLOR is not set.
[[nodiscard]] TextStyle StdoutStyle();

/// Decimal, or hexadecimal with 0x.
[[nodiscard]] std::optional<uint64_t> ParseNumber(std::string_view text);

/// Writes all of `text` to standard output; the exit status `otherwise`, or kExitIo.
[[nodiscard]] int PrintOut(const std::string& text, int otherwise);

/// Set by the first SIGINT, SIGTERM or SIGHUP after this call; another, some seconds later, ends
/// the program at once. One that the program was started to ignore (nohup) stays ignored.
[[nodiscard]] const std::atomic<bool>* WatchSignals();

}  // namespace kcoredump::cmd
