// SPDX-License-Identifier: MIT
//
// Who acts in a kernel: its functions by name, its tasks by id.
#pragma once

#include <cstdint>
#include <string>

namespace kcoredump {

struct FunctionName {
  uint64_t address = 0;  ///< 0: none
  std::string symbol{};  ///< "tcp_keepalive_timer", "name [module]", "name+0x4"; empty: unknown
};

struct TaskName {
  uint64_t address = 0;  ///< of its task_struct; 0: none
  uint32_t pid = 0;
  std::string comm{};  ///< may hold anything; empty: it cannot be read
};

}  // namespace kcoredump
