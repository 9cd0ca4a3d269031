// SPDX-License-Identifier: MIT
#include "kcoredump/maps.h"

#include "cmd/of_process.h"

namespace kcoredump::cmd {

void AddMaps(CLI::App& app, Context& context) {
  AddOfProcess<MappingList>(
      app, context,
      {.name = "maps",
       .description = "List what a process has mapped",
       .list = "mappings",
       .footer = "As /proc/PID/maps. PERM ends with p for private, s for shared. Read what is\n"
                 "mapped with `kcoredump read pid:PID:ADDRESS`.\n\n"
                 "  kcoredump maps 1 -f web1.elf.zst\n\n",
       .ask = ListMappings});
}

}  // namespace kcoredump::cmd
