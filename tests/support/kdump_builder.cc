// SPDX-License-Identifier: MIT
#include "support/kdump_builder.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "support/elf_builder.h"

namespace kcoredump::test {

namespace {

constexpr size_t kDescriptorBytes = 24;

void PutText(Bytes& out, size_t at, std::string_view text) {
  std::memcpy(out.data() + at, text.data(), text.size());
}

void SetBit(Bytes& out, size_t bitmap, uint64_t bit) {
  out[bitmap + bit / 8] |= static_cast<std::byte>(1U << (bit % 8));
}

void PutBigEndian(Bytes& out, int64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) {
    out.push_back(static_cast<std::byte>(static_cast<uint64_t>(value) >> shift));
  }
}

}  // namespace

uint32_t FlagOf(PageCodec codec) {
  switch (codec) {
    case PageCodec::kZlib:
      return kZlibFlag;
    case PageCodec::kLzo:
      return kLzoFlag;
    case PageCodec::kSnappy:
      return kSnappyFlag;
    case PageCodec::kZstd:
      return kZstdFlag;
  }
  return 0;
}

Bytes Packed(PageCodec codec, std::span<const std::byte> content) {
  auto compressor = PageCompressor::Create(codec, 1);
  if (!compressor.ok()) throw std::runtime_error(compressor.error().message);
  Bytes out(CompressedPageBound(codec, content.size()));
  const auto length = compressor.value().Compress(content, out);
  if (!length.ok()) throw std::runtime_error(length.error().message);
  out.resize(length.value());
  return out;
}

KdumpBuilder& KdumpBuilder::AddMemory(uint64_t first_pfn, uint64_t pages,
                                      std::optional<PageCodec> codec) {
  for (uint64_t pfn = first_pfn; pfn < first_pfn + pages; ++pfn) {
    memory.insert(pfn);
    if (codec) codecs[pfn] = *codec;
  }
  return *this;
}

Bytes KdumpBuilder::PageContent(uint64_t pfn) const {
  return zero_pages.contains(pfn) ? Bytes(kPage) : MemoryBytes(pfn * kPage, kPage);
}

size_t KdumpBuilder::BitmapBytes() const { return (max_pfn / 8 + kPage) / kPage * kPage; }

size_t KdumpBuilder::SubHeaderBlocks() const {
  return (128 + vmcoreinfo.size() + notes.size() + kPage - 1) / kPage;
}

size_t KdumpBuilder::DescriptorsAt() const {
  return kPage * (1 + SubHeaderBlocks()) + BitmapBytes() * (one_bitmap ? 1 : 2);
}

void KdumpBuilder::AddHeaders(Bytes& out) const {
  PutText(out, 0, "KDUMP   ");
  Poke(out, kVersionAt, version);
  PutText(out, 12, "Linux");
  PutText(out, 12 + 65, "testhost");
  PutText(out, kMachineAt, machine);
  Poke(out, kStatusAt, status);
  Poke(out, kBlockSizeAt, static_cast<int32_t>(kPage));
  Poke(out, kSubHeaderBlocksAt, static_cast<int32_t>(SubHeaderBlocks()));
  Poke(out, kBitmapBlocksAt, static_cast<uint32_t>(BitmapBytes() / kPage * (one_bitmap ? 1 : 2)));
  Poke(out, kMaxMapnrAt, static_cast<uint32_t>(max_pfn));
  Poke(out, kPhysBaseAt, phys_base);
  Poke(out, kDumpLevelAt, dump_level);
  const size_t payload = kPage + 128;
  if (!vmcoreinfo.empty()) {
    Poke(out, kVmcoreinfoAt, uint64_t{payload});
    Poke(out, kVmcoreinfoAt + 8, uint64_t{vmcoreinfo.size()});
    PutText(out, payload, vmcoreinfo);
  }
  if (version >= 4 && !notes.empty()) {
    Poke(out, kNoteAt, uint64_t{payload + vmcoreinfo.size()});
    Poke(out, kNoteAt + 8, uint64_t{notes.size()});
    std::copy(notes.begin(), notes.end(),
              out.begin() + static_cast<ptrdiff_t>(payload + vmcoreinfo.size()));
  }
  if (part) {
    Poke(out, kSplitAt, 1);
    Poke(out, kStartPfnAt, part->first);
    Poke(out, kStartPfnAt + 8, part->second);
  }
  if (version < 6) return;
  if (part) {
    Poke(out, kStartPfn64At, part->first);
    Poke(out, kStartPfn64At + 8, part->second);
  }
  Poke(out, kMaxMapnr64At, max_pfn);
}

Bytes KdumpBuilder::Build() const {
  Bytes out(DescriptorsAt());
  AddHeaders(out);
  const size_t bitmap = kPage * (1 + SubHeaderBlocks());
  std::vector<uint64_t> dumped;
  for (const uint64_t pfn : memory) {
    SetBit(out, bitmap, pfn);
    if (excluded.contains(pfn)) continue;
    if (!one_bitmap) SetBit(out, bitmap + BitmapBytes(), pfn);
    if (!part || (pfn >= part->first && pfn < part->second)) dumped.push_back(pfn);
  }
  const size_t descriptors = out.size();
  out.resize(descriptors + dumped.size() * kDescriptorBytes);
  const size_t zero_page = out.size();
  out.resize(zero_page + kPage);
  for (size_t i = 0; i < dumped.size(); ++i) {
    const uint64_t pfn = dumped[i];
    PageDesc desc{.offset = out.size(), .bytes = kPage};
    if (zero_pages.contains(pfn)) {
      desc.offset = zero_page;
    } else if (const auto codec = codecs.find(pfn); codec != codecs.end()) {
      const Bytes data = Packed(codec->second, PageContent(pfn));
      desc.bytes = static_cast<uint32_t>(data.size());
      desc.flags = FlagOf(codec->second);
      Append(out, data);
    } else {
      Append(out, PageContent(pfn));
    }
    if (forge) forge(pfn, desc);
    const size_t at = descriptors + i * kDescriptorBytes;
    Poke(out, at, desc.offset);
    Poke(out, at + 8, desc.bytes);
    Poke(out, at + 12, desc.flags);
  }
  return out;
}

KdumpBuilder SmallKdump() {
  KdumpBuilder dump;
  dump.AddMemory(1, 8);
  for (uint64_t i = 0; i < 4; ++i) {
    dump.AddMemory(16 + i * 8, 8, static_cast<PageCodec>(i));
  }
  dump.zero_pages = {3, 4, 17, 47};
  dump.excluded = {8, 20, 21, 40};
  dump.notes = NoteBytes("CORE", 1, std::string(336, 'r'));
  const Bytes info = NoteBytes("VMCOREINFO", 0, "OSRELEASE=6.1.0-test\nPAGESIZE=4096\n");
  dump.notes.insert(dump.notes.end(), info.begin(), info.end());
  dump.status = kZlibFlag;
  dump.dump_level = 31;
  return dump;
}

Bytes FlattenedHeader() {
  Bytes out = ToBytes("makedumpfile");
  out.resize(16);
  PutBigEndian(out, 1);
  PutBigEndian(out, 1);
  out.resize(4096);
  return out;
}

Bytes FlattenedRecordBytes(int64_t offset, int64_t size, std::span<const std::byte> data) {
  Bytes out;
  PutBigEndian(out, offset);
  PutBigEndian(out, size);
  Append(out, data);
  return out;
}

Bytes FlattenedEnd() { return FlattenedRecordBytes(-1, -1, {}); }

Bytes Flattened(std::span<const std::byte> file, size_t record_bytes) {
  Bytes out = FlattenedHeader();
  for (size_t at = 0; at < file.size(); at += record_bytes) {
    const auto data = file.subspan(at, std::min(record_bytes, file.size() - at));
    Append(out,
           FlattenedRecordBytes(static_cast<int64_t>(at), static_cast<int64_t>(data.size()), data));
  }
  Append(out, FlattenedEnd());
  return out;
}

}  // namespace kcoredump::test
