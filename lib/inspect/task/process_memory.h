// SPDX-License-Identifier: MIT
//
// What a process's mm_struct tells: how much memory it has and what it was started with.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "inspect/per_cpu.h"
#include "inspect/task/tasks.h"
#include "symbol/record.h"

namespace kcoredump {

struct ProcessMemory {
  uint64_t pgd = 0;  ///< 0: not known
  std::optional<uint64_t> rss_bytes;
  std::optional<std::vector<std::string>> arguments;
  bool arguments_cut = false;
};

/// As /proc/PID/cmdline has them: each ends with a NUL.
[[nodiscard]] std::vector<std::string> SplitArguments(std::string_view text);

/// For one thread. `sources` must outlive it.
class ProcessMemoryReader {
 public:
  /// Members that this kernel lacks cost what they are needed for, and `notes` says so.
  ProcessMemoryReader(const TaskSources& sources, std::vector<std::string>& notes);

  /// Each mm_struct is read once. nullptr: it cannot be read.
  [[nodiscard]] const ProcessMemory* Of(uint64_t mm);
  [[nodiscard]] Result<uint64_t> RootOf(uint64_t mm);

 private:
  /// One of mm_struct.rss_stat.
  struct Counter {
    Field count;
    Field per_cpu;  ///< not known: the count is all (up to 6.1)
  };
  void FindCounters(std::vector<std::string>& notes);
  void FindCpus(std::vector<std::string>& notes);
  [[nodiscard]] std::optional<uint64_t> Rss();
  [[nodiscard]] std::optional<int64_t> SumOverCpus(uint64_t per_cpu);
  void ReadArguments(ProcessMemory& out);

  const TaskSources& sources_;
  std::optional<Layout> layout_;  ///< nothing: BTF has no mm_struct
  Field pgd_;
  Field arg_start_;
  Field arg_end_;
  Field env_start_;
  Field env_end_;
  std::vector<Counter> counters_;
  std::vector<CpuArea> cpus_;  ///< each possible one
  Record record_;
  std::unordered_map<uint64_t, std::optional<ProcessMemory>> known_;
};

}  // namespace kcoredump
