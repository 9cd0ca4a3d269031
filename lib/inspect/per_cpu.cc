// SPDX-License-Identifier: MIT
#include "inspect/per_cpu.h"

#include <algorithm>

namespace kcoredump {

namespace {

constexpr uint64_t kMaxPossibleCpus = 8192;

}  // namespace

std::vector<uint64_t> PerCpuOffsets(const TaskSources& sources) {
  std::vector<uint64_t> found;
  const auto offsets = sources.symbol("__per_cpu_offset");
  const auto possible = sources.symbol("__cpu_possible_mask");
  const auto mask_bytes = sources.types.SizeOf("struct cpumask");
  std::vector<std::byte> mask(mask_bytes.ok() ? std::min(mask_bytes.value(), kMaxPossibleCpus / 8)
                                              : 0);
  if (!offsets || !possible || mask.empty() || !sources.kernel.Read(*possible, mask).ok()) {
    return found;
  }
  for (size_t cpu = 0; cpu < mask.size() * 8; ++cpu) {
    if ((mask[cpu / 8] >> (cpu % 8) & std::byte{1}) == std::byte{0}) continue;
    const auto offset = sources.kernel.ReadValue<uint64_t>(*offsets + cpu * 8);
    if (offset.ok()) found.push_back(offset.value());
  }
  return found;
}

}  // namespace kcoredump
