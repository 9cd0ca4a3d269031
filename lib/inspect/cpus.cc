// SPDX-License-Identifier: MIT
#include "inspect/cpus.h"

#include <elf.h>

#include <algorithm>

#include "kcoredump/kernel.h"

namespace kcoredump {

namespace {

/// NR_CPUS of the largest kernels.
constexpr size_t kMaxCpus = 8192;

/// Empty: not known.
std::vector<uint32_t> OnlineCpus(Session& session) {
  std::vector<uint32_t> online;
  const auto mask = session.FindSymbol("__cpu_online_mask");
  const auto types = session.Types();
  if (!mask || !types.ok()) return online;
  const auto bytes = types.value()->SizeOf("struct cpumask");
  if (!bytes.ok()) return online;
  std::vector<std::byte> bits(std::min<uint64_t>(bytes.value(), kMaxCpus / 8));
  if (!session.kernel().Read(*mask, bits).ok()) return online;
  for (uint32_t cpu = 0; cpu < bits.size() * 8; ++cpu) {
    if ((std::to_integer<uint32_t>(bits[cpu / 8]) >> cpu % 8 & 1) != 0) online.push_back(cpu);
  }
  return online;
}

}  // namespace

std::vector<std::optional<CpuRegisters>> RegistersInNotes(const MemorySource& source,
                                                          const Architecture& arch) {
  std::vector<std::optional<CpuRegisters>> found;
  const auto notes = source.notes().Parse();
  if (!notes.ok()) return found;
  for (const Note& note : notes.value()) {
    if (note.owner != "CORE" || note.type != NT_PRSTATUS || found.size() == kMaxCpus) continue;
    found.push_back(arch.RegistersOf(note.data));
    if (found.back() && found.back()->instruction_pointer == 0) found.back().reset();
  }
  return found;
}

std::map<uint32_t, CpuRegisters> RegistersOfCpus(Session& session) {
  std::map<uint32_t, CpuRegisters> cpus;
  const Architecture* arch = session.facts().arch;
  if (arch == nullptr) return cpus;
  const auto found = RegistersInNotes(session.source(), *arch);
  const std::vector<uint32_t> online = OnlineCpus(session);
  for (uint32_t i = 0; i < found.size(); ++i) {
    if (found[i]) cpus.emplace(online.size() == found.size() ? online[i] : i, *found[i]);
  }
  return cpus;
}

std::vector<CpuInfo> DescribeCpus(const MemorySource& source, const std::string& path) {
  const Architecture* arch = FindArchitecture(source.machine());
  if (arch == nullptr) return {};
  std::vector<CpuInfo> cpus;
  std::map<uint32_t, CpuRegisters> by_number;
  const auto found = RegistersInNotes(source, *arch);
  for (uint32_t cpu = 0; cpu < found.size(); ++cpu) {
    if (found[cpu]) by_number.emplace(cpu, *found[cpu]);
  }
  if (by_number.empty()) return cpus;
  auto kernel = Kernel::Open(path);
  if (kernel.ok()) by_number = RegistersOfCpus(kernel.value().session());
  for (const auto& [cpu, registers] : by_number) {
    const uint64_t at = registers.instruction_pointer;
    cpus.push_back({.cpu = cpu,
                    .pid = registers.pid,
                    .instruction_pointer = at,
                    .stack_pointer = registers.stack_pointer,
                    .symbol = kernel.ok() ? kernel.value().Symbolize(at) : std::string()});
  }
  return cpus;
}

}  // namespace kcoredump
