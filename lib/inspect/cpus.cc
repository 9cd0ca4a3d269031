// SPDX-License-Identifier: MIT
#include "inspect/cpus.h"

#include <elf.h>

#include "kcoredump/kernel.h"

namespace kcoredump {

namespace {

/// NR_CPUS of the largest kernels.
constexpr size_t kMaxCpus = 8192;

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

std::vector<CpuInfo> DescribeCpus(const MemorySource& source, const std::string& path) {
  const Architecture* arch = FindArchitecture(source.machine());
  if (arch == nullptr) return {};
  std::vector<CpuInfo> cpus;
  const auto found = RegistersInNotes(source, *arch);
  for (uint32_t cpu = 0; cpu < found.size(); ++cpu) {
    if (!found[cpu]) continue;
    cpus.push_back({.cpu = cpu,
                    .pid = found[cpu]->pid,
                    .instruction_pointer = found[cpu]->instruction_pointer,
                    .stack_pointer = found[cpu]->stack_pointer,
                    .symbol = {}});
  }
  if (cpus.empty()) return cpus;
  auto kernel = Kernel::Open(path);
  for (CpuInfo& cpu : cpus) {
    if (kernel.ok()) cpu.symbol = kernel.value().Symbolize(cpu.instruction_pointer);
  }
  return cpus;
}

}  // namespace kcoredump
