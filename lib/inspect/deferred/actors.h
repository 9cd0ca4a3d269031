// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>

#include "inspect/task/tasks.h"
#include "kcoredump/actors.h"
#include "symbol/record.h"

namespace kcoredump {

/// For one answer and one thread. `sources` must outlive it.
class ActorReader {
 public:
  /// What this kernel lacks costs the names of tasks, and `notes` says so.
  ActorReader(const TaskSources& sources, std::vector<std::string>& notes);

  [[nodiscard]] const FunctionName& Function(uint64_t address);
  [[nodiscard]] const TaskName& TaskAt(uint64_t address);

 private:
  const TaskSources& sources_;
  Field pid_, comm_;  ///< of task_struct
  std::unordered_map<uint64_t, FunctionName> functions_;
  std::unordered_map<uint64_t, TaskName> tasks_;
};

/// The symbol, or where there is none the address; empty: no function.
[[nodiscard]] std::string TextOf(const FunctionName& function);
/// "comm[pid]"; empty: no task.
[[nodiscard]] std::string TextOf(const TaskName& task);
/// {"address", "symbol"}; null: no function.
[[nodiscard]] nlohmann::ordered_json JsonOf(const FunctionName& function);
/// {"pid", "comm", "address"}; null: no task.
[[nodiscard]] nlohmann::ordered_json JsonOf(const TaskName& task);

}  // namespace kcoredump
