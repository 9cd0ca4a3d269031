// SPDX-License-Identifier: MIT
#include "format/kdump/head.h"

#include <elf.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

#include "base/bytes.h"
#include "base/checked.h"
#include "format/kdump/uts_name.h"

namespace kcoredump {

namespace {

constexpr uint64_t kNsInASecond = 1'000'000'000;

/// NUMBER(phys_base) of x86; 0: there is none. Only kernel/ parses VMCOREINFO as a whole.
uint64_t PhysBaseOf(std::string_view vmcoreinfo) {
  static constexpr std::string_view kKey = "NUMBER(phys_base)=";
  const size_t at = vmcoreinfo.find(kKey);
  if (at == std::string_view::npos) return 0;
  const std::string_view digits = vmcoreinfo.substr(at + kKey.size());
  int64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return static_cast<uint64_t>(value);
}

/// By their register notes; at least one.
int32_t CountCpus(const NoteSegment& notes) {
  const auto parsed = notes.Parse();
  if (!parsed.ok()) return 1;
  const auto count = std::count_if(
      parsed.value().begin(), parsed.value().end(),
      [](const Note& note) { return note.owner == "CORE" && note.type == NT_PRSTATUS; });
  return static_cast<int32_t>(std::max<ptrdiff_t>(1, count));
}

}  // namespace

KdumpHead::KdumpHead(const MemorySource& source, unsigned dump_level)
    : source_(source),
      page_bytes_(source.page_bytes()),
      dump_level_(dump_level | source.Facts().dump_level.value_or(0)) {
  const std::string vmcoreinfo = VmcoreinfoText(source);
  const uint64_t phys_base = source.PhysBase().value_or(PhysBaseOf(vmcoreinfo));
  FillUtsName(source, vmcoreinfo, phys_base, utsname_);
  const std::vector<Segment>& ram = source.map().ram();
  max_pfn_ = ram.empty() ? 0 : ram.back().PhysRange().end / page_bytes_;
  bitmap_bytes_ = AlignUp((max_pfn_ + 7) / 8, page_bytes_);
  sub_header_ = MakeSubHeader(vmcoreinfo, phys_base);
  const uint64_t ram_pages = source.map().ram_bytes() / page_bytes_;
  pages_ = AlignUp(descriptors() + ram_pages * sizeof(PageDescriptor), page_bytes_);
}

KdumpMainHeader KdumpHead::MainHeader(uint32_t status, uint64_t started_utc_ns) const {
  KdumpMainHeader header;
  std::memcpy(header.signature, kKdumpSignature, sizeof(header.signature));
  header.version = kLatestKdumpVersion;
  std::memcpy(header.utsname, utsname_, sizeof(utsname_));
  header.seconds = static_cast<int64_t>(started_utc_ns / kNsInASecond);
  header.microseconds = static_cast<int64_t>(started_utc_ns % kNsInASecond / 1000);
  header.status = status;
  header.block_bytes = static_cast<int32_t>(page_bytes_);
  header.sub_header_blocks = static_cast<int32_t>(sub_header_.size() / page_bytes_);
  header.bitmap_blocks = static_cast<uint32_t>(2 * bitmap_bytes_ / page_bytes_);
  header.max_mapnr = static_cast<uint32_t>(std::min<uint64_t>(max_pfn_, UINT32_MAX));
  header.total_ram_blocks = static_cast<uint32_t>(
      std::min<uint64_t>(source_.map().ram_bytes() / page_bytes_, UINT32_MAX));
  header.nr_cpus = CountCpus(source_.notes());
  return header;
}

std::vector<std::byte> KdumpHead::MakeSubHeader(const std::string& vmcoreinfo,
                                                uint64_t phys_base) const {
  const std::span<const std::byte> notes = source_.notes().bytes();
  KdumpSubHeader header;
  header.dump_level = static_cast<int32_t>(dump_level_);
  header.phys_base = phys_base;
  header.end_pfn = max_pfn_;
  header.end_pfn_64 = max_pfn_;
  header.max_mapnr_64 = max_pfn_;
  if (!notes.empty()) {
    header.offset_note = page_bytes_ + sizeof(header);
    header.size_note = notes.size();
  }
  const size_t inside = AsText(notes).find(vmcoreinfo);
  if (!vmcoreinfo.empty() && inside != std::string_view::npos) {
    header.offset_vmcoreinfo = header.offset_note + inside;
    header.size_vmcoreinfo = vmcoreinfo.size();
  }
  ByteWriter writer;
  writer.Write(header);
  writer.Append(notes);
  writer.PadTo(page_bytes_);
  return std::move(writer.bytes());
}

}  // namespace kcoredump
