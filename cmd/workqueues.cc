// SPDX-License-Identifier: MIT
#include "kcoredump/workqueues.h"

#include "cmd/of_kernel.h"

namespace kcoredump::cmd {

void AddWorkqueues(CLI::App& app, Context& context) {
  AddOfKernel<WorkqueueList>(
      app, context,
      {.name = "workqueues",
       .description = "List work put off, workqueues and their workers",
       .footer =
           "Work that runs, is pending in a pool, is inactive (its queue has enough that runs)\n"
           "or is delayed, by seconds IN; then the workqueues, then pools with their workers.\n\n"
           "  kcoredump workqueues -f web1.elf.zst\n\n",
       .lines = "workqueues",
       .ask = ListWorkqueues});
}

}  // namespace kcoredump::cmd
