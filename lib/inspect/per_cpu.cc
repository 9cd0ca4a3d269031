// SPDX-License-Identifier: MIT
#include "inspect/per_cpu.h"

#include <algorithm>

namespace kcoredump {

namespace {

constexpr size_t kMaxPerCpuAreas = 8192;

}  // namespace

std::vector<CpuArea> CpusOf(const TaskSources& sources, const char* mask) {
  std::vector<CpuArea> cpus;
  const auto offsets = sources.symbol("__per_cpu_offset");
  const auto mask_at = sources.symbol(mask);
  const auto mask_bytes = sources.types.SizeOf("struct cpumask");
  std::vector<std::byte> bits(mask_bytes.ok() ? std::min(mask_bytes.value(), kMaxPerCpuAreas / 8)
                                              : 0);
  if (!offsets || !mask_at || bits.empty() || !sources.kernel.Read(*mask_at, bits).ok()) return {};
  for (uint32_t cpu = 0; cpu < bits.size() * 8; ++cpu) {
    if ((bits[cpu / 8] >> (cpu % 8) & std::byte{1}) == std::byte{0}) continue;
    const auto offset = sources.kernel.ReadValue<uint64_t>(*offsets + uint64_t{cpu} * 8);
    if (offset.ok()) cpus.push_back({.cpu = cpu, .offset = offset.value()});
  }
  return cpus;
}

}  // namespace kcoredump
