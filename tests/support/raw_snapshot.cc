// SPDX-License-Identifier: MIT
#include "support/raw_snapshot.h"

#include <algorithm>
#include <stdexcept>

#include "format/codec.h"
#include "source/memory_map.h"
#include "support/elf_builder.h"

namespace kcoredump::test {

namespace {

/// Of the memory that the core in `plain` describes; as many as SmallCore has where it is none.
uint64_t PagesOf(std::span<const std::byte> plain) {
  const auto core = ReadElfCore([&](uint64_t offset, std::span<std::byte> out) -> Result<size_t> {
    return ReadFromBytes(plain, offset, out);
  });
  if (!core.ok()) return kSmallCorePages;
  const auto map = MemoryMap::Build(core.value(), MemoryMap::Dialect::kDump, kPage);
  return map.ok() ? map.value().ram_bytes() / kPage : kSmallCorePages;
}

}  // namespace

Bytes CompressedFrame(std::span<const std::byte> content) {
  auto compressor = FrameCompressor::Create(1);
  if (!compressor.ok()) throw std::runtime_error(compressor.error().message);
  Bytes out(CompressedBound(content.size()));
  const auto length = compressor.value().Compress(content, out);
  if (!length.ok()) throw std::runtime_error(length.error().message);
  out.resize(length.value());
  return out;
}

Bytes LyingFrame(uint64_t content_bytes) {
  Bytes frame;
  AppendValue(frame, uint32_t{0xFD2FB528});
  // Frame_Header_Descriptor: 8 bytes of content size, single segment, no checksum (RFC
  // 8878, 3.1.1).
  frame.push_back(std::byte{0xe0});
  AppendValue(frame, content_bytes);
  for (const int byte : {0x01, 0x00, 0x00}) frame.push_back(static_cast<std::byte>(byte));
  return frame;
}

RawSnapshot RawSnapshot::Of(std::span<const std::byte> plain, size_t frame_bytes) {
  RawSnapshot raw;
  raw.trailer.complete = true;
  raw.trailer.page_bytes = kPage;
  raw.trailer.plain_bytes = plain.size();
  raw.trailer.expected_bytes = plain.size();
  raw.trailer.counts.direct = PagesOf(plain);
  for (size_t at = 0; at < plain.size(); at += frame_bytes) {
    raw.AddFrame(plain.subspan(at, std::min(frame_bytes, plain.size() - at)));
  }
  return raw;
}

Hash256 RawSnapshot::Identity() const { return Sha256(EncodedTrailer()); }

void RawSnapshot::SetBase(const BaseLink& link) {
  const Bytes notice = CompressedFrame(Bytes(100, std::byte{'n'}));
  BaseLink with_notice = link;
  with_notice.notice_bytes = static_cast<uint32_t>(notice.size());
  head = EncodeBaseLink(with_notice);
  Append(head, notice);
  trailer_flags |= kFlagIncremental;
  Append(trailer_more, link.id);
  AppendValue(trailer_more, static_cast<uint32_t>(
                                std::count_if(frames.begin(), frames.end(), [](const Bytes& frame) {
                                  return DecodeReference(frame).has_value();
                                })));
}

void RawSnapshot::Refer(size_t i, const FrameReference& reference) {
  frames[i] = EncodeReference(reference);
  entries[i].compressed_bytes = static_cast<uint32_t>(frames[i].size());
}

RawSnapshot RawSnapshot::On(const RawSnapshot& base, const std::string& name) {
  RawSnapshot raw = base;
  for (size_t i = 1; i + 1 < base.frames.size(); ++i) {
    auto decompressor = FrameDecompressor::Create();
    Bytes content(base.entries[i].content_bytes);
    if (!decompressor.ok() || !decompressor.value().Decompress(base.frames[i], content).ok()) {
      throw std::runtime_error("a base of whole frames is wanted");
    }
    raw.Refer(i, {.frame = static_cast<uint32_t>(i),
                  .content_bytes = base.entries[i].content_bytes,
                  .hash = Sha256(content),
                  .checksum = base.entries[i].checksum});
  }
  raw.trailer_flags = 0;
  raw.trailer_more.clear();
  raw.SetBase({.name = name, .id = base.Identity()});
  return raw;
}

void RawSnapshot::AddFrame(std::span<const std::byte> content) {
  frames.push_back(CompressedFrame(content));
  entries.push_back({.compressed_bytes = static_cast<uint32_t>(frames.back().size()),
                     .content_bytes = static_cast<uint32_t>(content.size()),
                     .checksum = static_cast<uint32_t>(Hash64(content))});
  frame_ms.push_back(static_cast<uint32_t>(frame_ms.size()));
}

Bytes RawSnapshot::EncodedTrailer() const {
  Bytes out = trailer_head
                  ? *trailer_head
                  : EncodeTrailerHead(
                        trailer, trailer_frames.value_or(static_cast<uint32_t>(entries.size())),
                        trailer_flags);
  Append(out, std::as_bytes(std::span(frame_ms)));
  Append(out, trailer_more);
  AppendValue(out, Hash64(std::as_bytes(std::span(entries))));
  AppendValue(out, Hash64(out));
  return out;
}

Bytes RawSnapshot::Build() const {
  Bytes out = head;
  for (const Bytes& frame : frames) Append(out, frame);
  const Bytes tail = EncodedTrailer();
  AppendValue(out, kTrailerFrameMagic);
  AppendValue(out, static_cast<uint32_t>(tail.size()));
  Append(out, tail);
  AppendValue(out, kSeekTableFrameMagic);
  AppendValue(out, static_cast<uint32_t>(entries.size() * sizeof(SeekEntry) + 9));
  Append(out, std::as_bytes(std::span(entries)));
  AppendValue(out, footer_frames.value_or(static_cast<uint32_t>(entries.size())));
  out.push_back(std::byte{0x80});
  AppendValue(out, uint32_t{0x8F92EAB1});
  return out;
}

}  // namespace kcoredump::test
