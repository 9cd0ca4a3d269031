// SPDX-License-Identifier: MIT
#include <fcntl.h>

#include <csignal>
#include <cstdio>
#include <sstream>

#include "cmd/commands.h"
#include "kcoredump/text.h"
#include "kcoredump/version.h"

namespace kcoredump::cmd {

namespace {

/// A process may be started with its standard streams closed: without this, the next file that is
/// opened, the snapshot say, would be where messages go.
void OpenStandardStreams() {
  for (int fd = open("/dev/null", O_RDWR); fd >= 0 && fd <= 2;) fd = open("/dev/null", O_RDWR);
}

/// Help goes out as it is; complaints quote the command line, which may come from a glob over
/// hostile file names.
int PrintParseResult(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream out;
  std::ostringstream complaint;
  const bool failed = app.exit(error, out, complaint) != 0;
  std::fputs(out.str().c_str(), stdout);
  std::istringstream lines(complaint.str());
  for (std::string line; std::getline(lines, line);) {
    std::fprintf(stderr, "%s\n", Escaped(line).c_str());
  }
  return failed ? kExitUsage : kExitComplete;
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
  app.set_version_flag("--version", std::string("kcoredump ") + kcoredump::kVersion);
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
  AddPs(app, context);
  AddBt(app, context);
  AddFiles(app, context);
  AddMaps(app, context);
  AddMounts(app, context);
  AddSockets(app, context);
  AddMod(app, context);
  AddVmalloc(app, context);
  AddSlab(app, context);
  AddServe(app, context);
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
