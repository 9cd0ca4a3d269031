// SPDX-License-Identifier: MIT
#include "inspect/cpus.h"

#include <elf.h>

#include "kcoredump/kernel.h"
#include "kernel/arch.h"

namespace kcoredump {

namespace {

/// NR_CPUS of the largest kernels.
constexpr size_t kMaxCpus = 8192;

/// The notes stand in the order of the CPUs (kernel: fs/proc/vmcore.c, update_note_header_size).
std::vector<CpuInfo> CpusOf(const MemorySource& source, const Architecture& arch) {
  std::vector<CpuInfo> cpus;
  const auto notes = source.notes().Parse();
  if (!notes.ok()) return cpus;
  uint32_t cpu = 0;
  for (const Note& note : notes.value()) {
    if (note.owner != "CORE" || note.type != NT_PRSTATUS || cpu == kMaxCpus) continue;
    const auto registers = arch.RegistersOf(note.data);
    if (registers && registers->instruction_pointer != 0) {
      cpus.push_back({.cpu = cpu,
                      .pid = registers->pid,
                      .instruction_pointer = registers->instruction_pointer,
                      .stack_pointer = registers->stack_pointer,
                      .symbol = {}});
    }
    ++cpu;
  }
  return cpus;
}

}  // namespace

std::vector<CpuInfo> DescribeCpus(const MemorySource& source, const std::string& path) {
  const Architecture* arch = FindArchitecture(source.machine());
  if (arch == nullptr) return {};
  std::vector<CpuInfo> cpus = CpusOf(source, *arch);
  if (cpus.empty()) return cpus;
  auto kernel = Kernel::Open(path);
  for (CpuInfo& cpu : cpus) {
    if (kernel.ok()) cpu.symbol = kernel.value().Symbolize(cpu.instruction_pointer);
  }
  return cpus;
}

}  // namespace kcoredump
