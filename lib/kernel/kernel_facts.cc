// SPDX-License-Identifier: MIT
#include "kernel/kernel_facts.h"

#include <algorithm>
#include <cstring>

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
bool Describes(const VmcoreInfo& info, const Architecture* arch, RangeReader& reader) {
  const auto release = info.Text("OSRELEASE");
  const auto uts = info.Symbol("init_uts_ns");
  if (!release || release->empty() || !uts || arch == nullptr) return false;
  const auto phys = arch->ImageToPhysical(info, VirtAddr{*uts});
  if (!phys) return false;
  std::vector<std::byte> bytes(kUtsBytes);
  ReadReport report;
  if (!reader.Read(*phys, bytes, report).ok() || report.FirstHole() != nullptr) return false;
  return AsText(bytes).find(*release) != std::string_view::npos;
}

/// vmcoreinfo_data is a page of its own (kernel: kernel/vmcore_info.c) that begins with OSRELEASE.
Result<std::string> ScanForVmcoreinfo(const MemorySource& source, const Architecture* arch) {
  KCD_ASSIGN(const auto reader, RangeReader::Create(source, {}));
  const uint64_t page = source.page_bytes();
  std::vector<std::byte> buffer;
  for (const Range& ram : source.map().RamRanges()) {
    for (uint64_t at = ram.begin; at < ram.end; at += buffer.size()) {
      buffer.resize(std::min(kMaxBatchBytes, ram.end - at));
      ReadReport report;
      KCD_TRY(reader->Read(PhysAddr{at}, buffer, report));
      for (size_t i = 0; i + page <= buffer.size(); i += page) {
        if (std::memcmp(&buffer[i], kFirstLine.data(), kFirstLine.size()) != 0) continue;
        const std::string_view text = AsText(std::span(buffer).subspan(i, page));
        const auto info = VmcoreInfo::Parse(text);
        if (info.ok() && Describes(info.value(), arch, *reader)) {
          return std::string(text.substr(0, std::min(text.find('\0'), text.size())));
        }
      }
    }
  }
  return std::string();
}

}  // namespace

Result<KernelFacts> GatherKernelFacts(const MemorySource& source) {
  KernelFacts facts;
  facts.arch = FindArchitecture(source.machine());
  facts.vmcoreinfo_text = VmcoreinfoText(source);
  if (facts.vmcoreinfo_text.empty() && source.kind() != SourceKind::kLive) {
    KCD_ASSIGN(facts.vmcoreinfo_text, ScanForVmcoreinfo(source, facts.arch));
    facts.vmcoreinfo_from_memory = !facts.vmcoreinfo_text.empty();
  }
  KCD_ASSIGN(facts.vmcoreinfo, VmcoreInfo::Parse(facts.vmcoreinfo_text));
  return facts;
}

}  // namespace kcoredump
