// SPDX-License-Identifier: MIT
#include "kernel/kernel_facts.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/bytes.h"
#include "base/range.h"
#include "base/try.h"
#include "source/range_reader.h"

namespace kcoredump {

namespace {

constexpr std::string_view kFirstLine = "OSRELEASE=";
/// struct new_utsname: six fields of 65 bytes, after init_uts_ns's few words.
constexpr size_t kUtsBytes = 512;

/// Whether the kernel that `info` speaks of is the one in this memory: its init_uts_ns holds the
/// release. A process may hold a page that looks like VMCOREINFO.
bool Describes(const VmcoreInfo& info, const Architecture& arch, RangeReader& reader) {
  const auto release = info.Text("OSRELEASE");
  const auto uts = info.Symbol("init_uts_ns");
  if (!release || release->empty() || !uts) return false;
  const auto phys = arch.ImageToPhysical(info, VirtAddr{*uts});
  if (!phys) return false;
  std::vector<std::byte> bytes(kUtsBytes);
  ReadReport report;
  if (!reader.Read(*phys, bytes, report).ok() || report.FirstHole() != nullptr) return false;
  return AsText(bytes).find(*release) != std::string_view::npos;
}

/// Of the architectures that the image may be of the one that `info` fits; nullptr: none.
const Architecture* FindDescribed(const MemorySource& source, const VmcoreInfo& info,
                                  RangeReader& reader) {
  for (const Architecture* arch : AllArchitectures()) {
    const bool possible = source.machine() == EM_NONE || source.machine() == arch->machine();
    if (possible && Describes(info, *arch, reader)) return arch;
  }
  return nullptr;
}

/// What the image's header knows and a VMCOREINFO before 4.10 does not (401721ecd1dc).
void AddPhysBase(const MemorySource& source, KernelFacts& facts) {
  const auto phys_base = source.PhysBase();
  if (!phys_base || facts.vmcoreinfo.empty() || facts.vmcoreinfo.Number("phys_base")) return;
  std::string& text = facts.vmcoreinfo_text;
  if (!text.ends_with('\n')) text += '\n';
  text += "NUMBER(phys_base)=" + std::to_string(static_cast<int64_t>(*phys_base)) + "\n";
  auto info = VmcoreInfo::Parse(text);
  if (info.ok()) facts.vmcoreinfo = std::move(info.value());
}

/// vmcoreinfo_data is a page of its own (kernel: kernel/vmcore_info.c) that begins with OSRELEASE.
Status ScanForVmcoreinfo(const MemorySource& source, RangeReader& reader, KernelFacts& facts) {
  const uint64_t page = source.page_bytes();
  std::vector<std::byte> buffer;
  for (const Range& ram : source.PresentRanges()) {
    for (uint64_t at = ram.begin; at < ram.end; at += buffer.size()) {
      buffer.resize(std::min(kMaxBatchBytes, ram.end - at));
      ReadReport report;
      KCD_TRY(reader.Read(PhysAddr{at}, buffer, report));
      for (size_t i = 0; i + page <= buffer.size(); i += page) {
        if (std::memcmp(&buffer[i], kFirstLine.data(), kFirstLine.size()) != 0) continue;
        const std::string_view text = AsText(std::span(buffer).subspan(i, page));
        auto info = VmcoreInfo::Parse(text);
        const Architecture* arch =
            info.ok() ? FindDescribed(source, info.value(), reader) : nullptr;
        if (arch == nullptr) continue;
        facts.arch = arch;
        facts.vmcoreinfo_text = text.substr(0, std::min(text.find('\0'), text.size()));
        facts.vmcoreinfo_from_memory = true;
        return {};
      }
    }
  }
  return {};
}

}  // namespace

Result<KernelFacts> GatherKernelFacts(const MemorySource& source) {
  KernelFacts facts;
  facts.arch = FindArchitecture(source.machine());
  facts.vmcoreinfo_text = VmcoreinfoText(source);
  const bool has_note = !facts.vmcoreinfo_text.empty();
  std::unique_ptr<RangeReader> reader;
  if (source.kind() != SourceKind::kLive && (!has_note || source.machine() == EM_NONE)) {
    KCD_ASSIGN(reader, RangeReader::Create(source, {}));
    if (!has_note) KCD_TRY(ScanForVmcoreinfo(source, *reader, facts));
  }
  KCD_ASSIGN(facts.vmcoreinfo, VmcoreInfo::Parse(facts.vmcoreinfo_text));
  AddPhysBase(source, facts);
  if (facts.arch == nullptr && reader != nullptr) {
    facts.arch = FindDescribed(source, facts.vmcoreinfo, *reader);
  }
  return facts;
}

}  // namespace kcoredump
