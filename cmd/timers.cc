// SPDX-License-Identifier: MIT
#include "kcoredump/timers.h"

#include "cmd/of_kernel.h"

namespace kcoredump::cmd {

void AddTimers(CLI::App& app, Context& context) {
  AddOfKernel<TimerList>(
      app, context,
      {.name = "timers",
       .description = "List timers, when they expire and whom they wake",
       .footer =
           "Every hrtimer that is armed, as in /proc/timer_list, and every timer of the wheel.\n"
           "IN is seconds from the last tick, negative when overdue. FOR is the task that it\n"
           "wakes, or the work that it queues.\n\n"
           "  kcoredump timers -f web1.elf.zst\n\n",
       .lines = "timers",
       .ask = ListTimers});
}

}  // namespace kcoredump::cmd
