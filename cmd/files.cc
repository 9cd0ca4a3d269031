// SPDX-License-Identifier: MIT
#include "kcoredump/files.h"

#include "cmd/of_process.h"

namespace kcoredump::cmd {

void AddFiles(CLI::App& app, Context& context) {
  AddOfProcess<OpenFileList>(
      app, context,
      {.name = "files",
       .description = "List what a process has open",
       .list = "files",
       .footer = "As /proc/PID/fd and fdinfo, with the current and the root directory and the\n"
                 "program first. A file without a name any longer is (deleted).\n\n"
                 "  kcoredump files 1 -f web1.elf.zst\n\n",
       .ask = ListOpenFiles});
}

}  // namespace kcoredump::cmd
