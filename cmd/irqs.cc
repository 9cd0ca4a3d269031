// SPDX-License-Identifier: MIT
#include "kcoredump/irqs.h"

#include "cmd/of_kernel.h"

namespace kcoredump::cmd {

void AddIrqs(CLI::App& app, Context& context) {
  AddOfKernel<IrqList>(
      app, context,
      {.name = "irqs",
       .description = "List interrupts and who handles them",
       .footer =
           "As /proc/interrupts, with the functions that handle them; TOTAL is of all CPUs that\n"
           "are online, JSON has each. Threaded handlers have a second function, after +.\n\n"
           "  kcoredump irqs -f web1.elf.zst\n\n",
       .lines = "irqs",
       .ask = ListIrqs});
}

}  // namespace kcoredump::cmd
