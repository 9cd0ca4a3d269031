// SPDX-License-Identifier: MIT
#include "kcoredump/serve.h"

#include <memory>

#include "cmd/commands.h"
#include "cmd/monitor.h"

namespace kcoredump::cmd {

namespace {

struct ServeArguments {
  LookOptions look;
  ServeOptions serve;
  bool stdio = false;
  std::string unix_path;
};

/// With --stdio the debugger shows our messages among its own: that it came and went it knows.
void TellPeople(const ServeEvent& event, const ServeArguments& arguments) {
  if (arguments.look.json) {
    (void)PrintOut(ToJson(event) + "\n", kExitComplete);
    return;
  }
  using Kind = ServeEvent::Kind;
  if (arguments.stdio && (event.kind == Kind::kCame || event.kind == Kind::kGone)) return;
  PrintNote(ToText(event));
  if (event.kind == Kind::kReady && arguments.serve.way == ServeWay::kListen) {
    PrintNote(arguments.serve.allow_remote
                  ? "note: whoever reaches that address may read all of this kernel's memory"
                  : "note: every user of this machine may connect there; --unix is for you alone");
  }
}

int RunServe(ServeArguments arguments) {
  ServeOptions& options = arguments.serve;
  if (arguments.stdio) {
    options.way = ServeWay::kStdio;
  } else if (!arguments.unix_path.empty()) {
    options.way = ServeWay::kUnix;
    options.where = arguments.unix_path;
  }
  options.on_event = [&](const ServeEvent& event) { TellPeople(event, arguments); };
  options.monitor = [&](std::string_view command, const auto& output) {
    RunMonitor(arguments.look.file, command, output);
  };
  options.cancel = WatchSignals();
  return WithKernel(arguments.look, [&](Kernel& kernel) {
    const Status done = Serve(kernel, options);
    return done.ok() ? kExitComplete : Fail(done.error());
  });
}

}  // namespace

void AddServe(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<ServeArguments>();
  CLI::App* command =
      app.add_subcommand("serve", "Let GDB and LLDB attach to a kernel, live or dead, read-only");
  command->footer(
      "Tasks are threads. `monitor help` lists what kcoredump itself answers inside the "
      "debugger.\n\n"
      "  (gdb) target remote | kcoredump serve --stdio -f web1.elf.zst\n"
      "  kcoredump serve --unix /run/kcoredump.gdb      # and then: target remote "
      "/run/kcoredump.gdb\n"
      "  kcoredump serve                                # and then: (lldb) gdb-remote "
      "127.0.0.1:1234\n\n" +
      std::string(kExitHelp));
  AddLookOptions(command, arguments->look);
  CLI::Option* listen = command
                            ->add_option("--listen", arguments->serve.where,
                                         "Where to listen; default 127.0.0.1:1234")
                            ->option_text("HOST:PORT")
                            ->check(NotEmpty());
  CLI::Option* stdio = command->add_flag(
      "--stdio", arguments->stdio, "Speak to the debugger that started this, by `target remote |`");
  command->add_option("--unix", arguments->unix_path, "Listen at a socket that you alone may open")
      ->option_text("PATH")
      ->check(NotEmpty())
      ->excludes(listen)
      ->excludes(stdio);
  stdio->excludes(listen)->excludes(command->get_option("--json"));
  command
      ->add_flag("--allow-remote", arguments->serve.allow_remote,
                 "Let --listen take an address that other machines reach")
      ->needs(listen);
  command->callback([arguments, &context] { context.status = RunServe(*arguments); });
}

}  // namespace kcoredump::cmd
