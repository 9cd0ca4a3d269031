// SPDX-License-Identifier: MIT
#include <fcntl.h>

#include <csignal>
#include <cstdio>
#include <sstream>

#include "cmd/commands.h"
#include "kcoredump/kcoredump.h"
#include "kcoredump/schema.h"
#include "kcoredump/text.h"
#include "kcoredump/version.h"

namespace kcoredump::cmd {

namespace {

/// A process may be started with its standard streams closed: without this, the next file that is
/// opened, the snapshot say, would be where messages go.
void OpenStandardStreams() {
  for (int fd = open("/dev/null", O_RDWR); fd >= 0 && fd <= 2;) fd = open("/dev/null", O_RDWR);
}

/// The program and the library are one version; the ABI and the schemas have their own numbers.
std::string VersionJson() {
  return std::string("{\"program\": \"kcoredump\", \"version\": \"") + kVersion +
         "\", \"library\": \"" + kVersion + "\", \"abi\": " + std::to_string(KCD_ABI_VERSION) +
         ", \"schemas\": " + std::to_string(kSchemaVersion) + "}";
}

/// Help goes out as it is; complaints quote the command line, which may come from a glob over
/// hostile file names.
int PrintParseResult(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream out;
  std::ostringstream complaint;
  const int code = app.exit(error, out, complaint);
  if (dynamic_cast<const CLI::RuntimeError*>(&error) != nullptr) return code;
  const bool failed = code != 0;
  std::fputs(out.str().c_str(), stdout);
  std::istringstream lines(complaint.str());
  for (std::string line; std::getline(lines, line);) {
    std::fprintf(stderr, "%s\n", Escaped(line).c_str());
  }
  return failed ? kExitUsage : kExitComplete;
}

/// What the program says of itself and does not need a command for.
void AddGlobalOptions(CLI::App& app) {
  CLI::Option* json = app.add_flag("--json")->description("With --version: one JSON object");
  CLI::Option* version = app.add_flag_callback(
      "--version",
      [json] {
        const bool as_json = json->count() != 0;
        const int status =
            PrintOut(as_json ? VersionJson() + "\n" : std::string("kcoredump ") + kVersion + "\n",
                     kExitComplete);
        throw CLI::RuntimeError(status);
      },
      "Display program version information and exit");
  json->needs(version);
  // For the build and for packagers: hidden from --help and so from completions.
  app.add_option_function<std::string>(
         "--man-pages",
         [&app](const std::string& folder) {
           WriteManPages(app, folder);
           throw CLI::RuntimeError(kExitComplete);
         },
         "Write the manual pages to this folder")
      ->group("");
}

}  // namespace

}  // namespace kcoredump::cmd

int main(int argc, char** argv) {
  using namespace kcoredump::cmd;
  OpenStandardStreams();
  // A reader that goes away, or a file-size limit, is a write error and not the end.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  Context context;
  context.arguments.assign(argv, argv + argc);

  CLI::App app{"Capture a live Linux kernel's memory, and read it back."};
  app.name("kcoredump");
  AddGlobalOptions(app);
  app.require_subcommand(1);
  app.footer(kExitHelp);
  AddCapture(app, context);
  AddConvert(app, context);
  AddExport(app, context);
  AddInfo(app, context);
  AddVerify(app, context);
  AddRead(app, context);
  AddDis(app, context);
  AddPrint(app, context);
  AddList(app, context);
  AddSym(app, context);
  AddVtop(app, context);
  AddSearch(app, context);
  AddLog(app, context);
  AddMap(app, context);
  AddPs(app, context);
  AddBt(app, context);
  AddFiles(app, context);
  AddMaps(app, context);
  AddMounts(app, context);
  AddSockets(app, context);
  AddMod(app, context);
  AddVmalloc(app, context);
  AddSlab(app, context);
  AddCheck(app, context);
  AddDiff(app, context);
  AddPages(app, context);
  AddStrings(app, context);
  AddCarve(app, context);
  AddIrqs(app, context);
  AddTimers(app, context);
  AddWorkqueues(app, context);
  AddServe(app, context);
  AddMount(app, context);
  AddReport(app, context);
  AddSchema(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return PrintParseResult(app, error);
  } catch (const std::exception& error) {
    PrintError(error.what());  // the library throws nothing, but memory may run out
    return kExitIo;
  }
  return context.status;
}
