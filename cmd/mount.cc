// SPDX-License-Identifier: MIT
#include "kcoredump/mount.h"

#include <memory>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

int RunMount(const LookOptions& look, MountOptions options) {
  options.on_event = [&](const MountEvent& event) {
    if (look.json) {
      (void)PrintOut(ToJson(event) + "\n", kExitComplete);
    } else {
      PrintNote(ToText(event));
    }
  };
  options.cancel = WatchSignals();
  const Status done = Mount(look.file, options);
  return done.ok() ? kExitComplete : Fail(done.error());
}

}  // namespace

void AddMount(CLI::App& app, Context& context) {
  auto look = std::make_shared<LookOptions>();
  auto options = std::make_shared<MountOptions>();
  options->arguments = context.arguments;
  CLI::App* command =
      app.add_subcommand("mount", "Show a kernel, live or dead, as a folder that other tools open");
  command->footer(
      "In it: vmcore (ELF), vmcore.kdump, memory.raw, memory.lime, kallsyms, btf/vmlinux, dmesg,\n"
      "info.json, proc/PID/{comm,cmdline,maps,mem}. Read-only, and for you alone.\n\n"
      "  kcoredump mount -f web1.elf.zst /mnt &\n"
      "  crash /mnt/vmcore vmlinux\n"
      "  umount /mnt                                    # who is not root: fusermount3 -u\n\n" +
      std::string(kExitHelp));
  command->add_option("DIR", options->folder, "An empty folder")->option_text(" ")->required();
  AddLookOptions(command, *look);
  command->callback([look, options, &context] { context.status = RunMount(*look, *options); });
}

}  // namespace kcoredump::cmd
