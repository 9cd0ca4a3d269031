// SPDX-License-Identifier: MIT
#include "format/kdump/format.h"

#include <array>
#include <bit>
#include <cstring>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"
#include "source/memory_source.h"

namespace kcoredump {

namespace {

constexpr std::array kCodecs = {PageCodec::kZlib, PageCodec::kLzo, PageCodec::kSnappy,
                                PageCodec::kZstd};
constexpr uint32_t kCodecFlags = kKdumpZlib | kKdumpLzo | kKdumpSnappy | kKdumpZstd;
/// No data structure of a kernel's notes comes near: kallsyms are not among them.
constexpr uint64_t kMaxSubHeaderBytes = 1 << 30;

Error CorruptHeader(const std::string& what) { return Corrupt("a damaged kdump header: " + what); }

std::string FieldText(const char (&field)[65]) { return {field, strnlen(field, sizeof(field))}; }

/// A kernel's machine name whose dump has other structures than these; empty: not one of those.
bool Is32Bit(const std::string& machine) {
  return (machine.size() == 4 && machine[0] == 'i' && machine.ends_with("86")) ||
         machine.starts_with("armv") || machine == "ppc";
}

/// Both bitmaps, or the one that stands for both (a dump that leaves out nothing).
Status PlaceBitmaps(const KdumpMainHeader& header, KdumpLayout& layout) {
  const uint64_t sub_header_bytes =
      static_cast<uint64_t>(header.sub_header_blocks) * layout.page_bytes;
  const uint64_t bytes = uint64_t{header.bitmap_blocks} * layout.page_bytes;
  const uint64_t bits = bytes * 8;
  if (layout.max_pfn == 0) return CorruptHeader("it speaks of no memory at all");
  if (layout.max_pfn > kMaxKdumpPfns) {
    return MakeError(ErrorCode::kLimitExceeded, "a kdump file of " + Grouped(layout.max_pfn) +
                                                    " pages, more than " + Grouped(kMaxKdumpPfns));
  }
  if (layout.max_pfn > bits) {
    return CorruptHeader("bitmaps of " + Grouped(bits) + " bits for " + Grouped(layout.max_pfn) +
                         " pages");
  }
  layout.memory_bitmap = layout.page_bytes + sub_header_bytes;
  layout.dumped_bitmap = layout.memory_bitmap + (layout.max_pfn <= bits / 2 ? bytes / 2 : 0);
  layout.descriptors = layout.memory_bitmap + bytes;
  return {};
}

void PlaceParts(const KdumpSubHeader& sub_header, KdumpLayout& layout) {
  layout.end_pfn = layout.max_pfn;
  if (layout.version >= 2 && sub_header.split != 0) {
    const bool wide = layout.version >= 6;
    layout.split = true;
    layout.start_pfn = wide ? sub_header.start_pfn_64 : sub_header.start_pfn;
    layout.end_pfn = wide ? sub_header.end_pfn_64 : sub_header.end_pfn;
  }
  if (layout.version >= 3) {
    layout.vmcoreinfo_offset = sub_header.offset_vmcoreinfo;
    layout.vmcoreinfo_bytes = sub_header.size_vmcoreinfo;
  }
  if (layout.version >= 4) {
    layout.note_offset = sub_header.offset_note;
    layout.note_bytes = sub_header.size_note;
  }
}

}  // namespace

Result<uint64_t> CheckKdumpHeader(const KdumpMainHeader& header) {
  if (std::memcmp(header.signature, kKdumpSignature, sizeof(header.signature)) != 0) {
    return MakeError(ErrorCode::kUnsupported, "not a kdump file");
  }
  const std::string machine = FieldText(header.utsname[kUtsMachine]);
  if (Is32Bit(machine)) {
    return MakeError(ErrorCode::kUnsupported,
                     "a kdump file of a 32-bit kernel (" + machine + "), which is not read");
  }
  if (const auto swapped =
          static_cast<int32_t>(std::rotl(static_cast<uint32_t>(header.version), 8));
      swapped >= kLeastKdumpVersion && swapped <= kLatestKdumpVersion) {
    return MakeError(ErrorCode::kUnsupported,
                     "a kdump file of a big-endian machine, which is not read");
  }
  if (header.version < kLeastKdumpVersion || header.version > kLatestKdumpVersion) {
    return MakeError(ErrorCode::kUnsupported,
                     "a kdump file of version " + std::to_string(header.version) +
                         "; this program knows " + std::to_string(kLeastKdumpVersion) + " to " +
                         std::to_string(kLatestKdumpVersion));
  }
  if (header.block_bytes <= 0 || !IsPageSize(static_cast<uint64_t>(header.block_bytes))) {
    return CorruptHeader("blocks of " + std::to_string(header.block_bytes) + " bytes");
  }
  return static_cast<uint64_t>(header.block_bytes);
}

Result<KdumpLayout> DecodeKdumpLayout(const KdumpMainHeader& header,
                                      const KdumpSubHeader& sub_header) {
  KdumpLayout layout;
  KCD_ASSIGN(layout.page_bytes, CheckKdumpHeader(header));
  layout.version = static_cast<uint32_t>(header.version);
  layout.status = header.status;
  layout.machine = FieldText(header.utsname[kUtsMachine]);
  layout.max_pfn = layout.version >= 6 ? sub_header.max_mapnr_64 : header.max_mapnr;
  layout.phys_base = sub_header.phys_base;
  if (sub_header.dump_level >= 0) {
    layout.dump_level = static_cast<uint32_t>(sub_header.dump_level);
  }
  if (header.sub_header_blocks < 1 ||
      static_cast<uint64_t>(header.sub_header_blocks) * layout.page_bytes > kMaxSubHeaderBytes) {
    return CorruptHeader("a sub header of " + std::to_string(header.sub_header_blocks) + " blocks");
  }
  KCD_TRY(PlaceBitmaps(header, layout));
  PlaceParts(sub_header, layout);
  if (layout.start_pfn > layout.end_pfn) return CorruptHeader("a part that ends before it begins");
  // makedumpfile makes parts without pages, too, when it is asked for more than it can fill.
  layout.end_pfn = std::min(layout.end_pfn, layout.max_pfn);
  layout.start_pfn = std::min(layout.start_pfn, layout.end_pfn);
  return layout;
}

Result<std::optional<PageCodec>> CodecOf(const PageDescriptor& descriptor, uint64_t page_bytes) {
  const auto damaged = [](const std::string& what) {
    return MakeError(ErrorCode::kCorrupt, "a damaged page descriptor: " + what);
  };
  const uint32_t flags = descriptor.flags & kCodecFlags;
  if (flags == 0) {
    if (descriptor.bytes == page_bytes) return std::optional<PageCodec>();
    return damaged("a page as it is of " + std::to_string(descriptor.bytes) + " bytes");
  }
  if (!std::has_single_bit(flags)) return damaged("flags " + Hex(flags));
  for (const PageCodec codec : kCodecs) {
    if (flags != KdumpFlagOf(codec)) continue;
    if (descriptor.bytes != 0 && descriptor.bytes <= CompressedPageBound(codec, page_bytes)) {
      return std::optional<PageCodec>(codec);
    }
  }
  return damaged("a packed page of " + std::to_string(descriptor.bytes) + " bytes");
}

uint32_t KdumpFlagOf(PageCodec codec) {
  switch (codec) {
    case PageCodec::kZlib:
      return kKdumpZlib;
    case PageCodec::kLzo:
      return kKdumpLzo;
    case PageCodec::kSnappy:
      return kKdumpSnappy;
    case PageCodec::kZstd:
      return kKdumpZstd;
  }
  return 0;
}

std::vector<std::string> KdumpCodecNames(uint32_t status) {
  std::vector<std::string> names;
  for (const PageCodec codec : kCodecs) {
    if ((status & KdumpFlagOf(codec)) != 0) names.emplace_back(PageCodecName(codec));
  }
  return names;
}

}  // namespace kcoredump
