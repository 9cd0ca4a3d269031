// SPDX-License-Identifier: MIT
#include "inspect/cpus.h"

#include <elf.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "kcoredump/kernel.h"

namespace kcoredump {

namespace {

/// NR_CPUS of the largest kernels.
constexpr uint64_t kMaxCpus = 8192;

/// In their order; nothing: zeros.
using NotedRegisters = std::vector<std::optional<CpuRegisters>>;

NotedRegisters RegistersInNotes(const MemorySource& source) {
  NotedRegisters found;
  const Architecture* arch = FindArchitecture(source.machine());
  const auto notes = source.notes().Parse();
  if (arch == nullptr || !notes.ok()) return found;
  for (const Note& note : notes.value()) {
    if (note.owner != "CORE" || note.type != NT_PRSTATUS || found.size() == kMaxCpus) continue;
    found.push_back(arch->RegistersOf(note.data));
    if (found.back() && found.back()->instruction_pointer == 0) found.back().reset();
  }
  return found;
}

bool HasAny(const NotedRegisters& found) {
  return std::any_of(found.begin(), found.end(), [](const auto& cpu) { return cpu.has_value(); });
}

/// nullptr: the kernel in the image cannot be asked.
std::map<uint32_t, CpuRegisters> ByCpu(const NotedRegisters& found, Session* session) {
  std::vector<uint32_t> cpus(found.size());
  std::iota(cpus.begin(), cpus.end(), 0);
  if (session != nullptr) {
    const auto sources = TaskSourcesOf(*session);
    if (sources.ok()) cpus = CpusOfNotes(sources.value(), found.size());
  }
  std::map<uint32_t, CpuRegisters> registers;
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i]) registers.emplace(cpus[i], *found[i]);
  }
  return registers;
}

/// Empty: not known.
std::vector<uint32_t> OnlineCpus(const TaskSources& sources) {
  std::vector<uint32_t> online;
  const auto mask = sources.symbol("__cpu_online_mask");
  const auto bytes = sources.types.SizeOf("struct cpumask");
  if (!mask || !bytes.ok()) return online;
  std::vector<std::byte> bits(std::min<uint64_t>(bytes.value(), kMaxCpus / 8));
  if (!sources.kernel.Read(*mask, bits).ok()) return online;
  for (uint32_t cpu = 0; cpu < bits.size() * 8; ++cpu) {
    if ((std::to_integer<uint32_t>(bits[cpu / 8]) >> cpu % 8 & 1) != 0) online.push_back(cpu);
  }
  return online;
}

}  // namespace

std::vector<uint32_t> CpusOfNotes(const TaskSources& sources, size_t notes) {
  std::vector<uint32_t> cpus = OnlineCpus(sources);
  if (cpus.size() == notes) return cpus;
  cpus.resize(notes);
  std::iota(cpus.begin(), cpus.end(), 0);
  return cpus;
}

std::map<uint32_t, CpuRegisters> RegistersOfCpus(Session& session) {
  if (session.live()) return {};
  const NotedRegisters found = RegistersInNotes(session.source());
  return HasAny(found) ? ByCpu(found, &session) : std::map<uint32_t, CpuRegisters>();
}

std::vector<CpuInfo> DescribeCpus(const MemorySource& source, const std::string& path) {
  std::vector<CpuInfo> cpus;
  const NotedRegisters found = RegistersInNotes(source);
  if (!HasAny(found)) return cpus;
  auto kernel = Kernel::Open(path);
  for (const auto& [cpu, registers] :
       ByCpu(found, kernel.ok() ? &kernel.value().session() : nullptr)) {
    cpus.push_back({.cpu = cpu,
                    .pid = registers.pid,
                    .instruction_pointer = registers.instruction_pointer,
                    .stack_pointer = registers.stack_pointer,
                    .symbol = {}});
    if (kernel.ok()) cpus.back().symbol = kernel.value().Symbolize(registers.instruction_pointer);
  }
  return cpus;
}

}  // namespace kcoredump
