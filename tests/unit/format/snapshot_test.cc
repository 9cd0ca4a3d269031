// SPDX-License-Identifier: MIT
//
// SnapshotWriter and its readers, and the file's form as the public standards describe it.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

#include "format/snapshot/plain_reader.h"
#include "format/snapshot/reader.h"
#include "format/snapshot/writer.h"
#include "source/range_reader.h"
#include "support/elf_builder.h"
#include "support/files.h"
#include "support/memory_sink.h"
#include "support/raw_snapshot.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kPage;
using test::RawSnapshot;

/// Frame `i` of `raw` as a worker hands it over.
EncodedBatch BatchOf(const RawSnapshot& raw, size_t i, uint32_t zero_pages) {
  EncodedBatch batch;
  const Bytes& frame = raw.frames[i];
  batch.bytes = std::make_unique<std::byte[]>(frame.size());
  std::copy(frame.begin(), frame.end(), batch.bytes.get());
  batch.pieces = {{.encoded_bytes = static_cast<uint32_t>(frame.size()),
                   .content_bytes = raw.entries[i].content_bytes,
                   .zero_pages = zero_pages}};
  batch.milliseconds = raw.frame_ms[i];
  return batch;
}

/// What SnapshotWriter makes of the frames and the trailer of `raw`.
Bytes Written(const RawSnapshot& raw) {
  test::MemorySink sink;
  SnapshotWriter writer(&sink, raw.frames.size());
  for (size_t i = 0; i < raw.frames.size(); ++i) {
    EXPECT_TRUE(writer.Append(BatchOf(raw, i, 0)).ok());
  }
  EXPECT_TRUE(writer.Finish(raw.trailer).ok());
  EXPECT_EQ(writer.written_bytes(), sink.content().size());
  return sink.content();
}

RawSnapshot Sample() {
  RawSnapshot raw = RawSnapshot::Of(test::SmallCore().Build());
  raw.trailer.started_utc_ns = 11;
  raw.trailer.ended_utc_ns = 22;
  raw.trailer.zero_pages = 4;
  raw.trailer.counts = {.direct = 21, .retried = 1, .unreadable = 2};
  raw.trailer.runs = {{.first = PhysAddr{0x2000}, .pages = 1, .outcome = PageOutcome::kRetried},
                      {.first = PhysAddr{0x101000},
                       .pages = 2,
                       .outcome = PageOutcome::kUnreadable,
                       .system_errno = EIO}};
  return raw;
}

TEST(SnapshotWriter, WritesWhatTheFormatSays) { EXPECT_EQ(Written(Sample()), Sample().Build()); }

TEST(SnapshotWriter, WritesThousandsOfFramesTheSameWay) {
  RawSnapshot raw = RawSnapshot::Of(Bytes(9000), 1);
  EXPECT_EQ(raw.frames.size(), 9000U);
  EXPECT_EQ(Written(raw), raw.Build());
}

/// The public specification, byte for byte: contrib/seekable_format of zstd, version 0.1.0.
TEST(SnapshotWriter, EndsWithASeekTableOfTheSeekableFormat) {
  const RawSnapshot raw = Sample();
  const Bytes file = Written(raw);
  const auto at = [&](size_t offset, auto value) {
    std::memcpy(&value, file.data() + offset, sizeof(value));
    return value;
  };
  EXPECT_EQ(at(file.size() - 4, uint32_t{}), 0x8F92EAB1U);
  EXPECT_EQ(at(file.size() - 5, uint8_t{}), 0x80);
  const auto frames = at(file.size() - 9, uint32_t{});
  EXPECT_EQ(frames, raw.frames.size());
  const size_t table = file.size() - 9 - frames * 12;
  EXPECT_EQ(at(table - 8, uint32_t{}), 0x184D2A5EU);
  EXPECT_EQ(at(table - 4, uint32_t{}), frames * 12 + 9);
  size_t offset = 0;
  for (size_t i = 0; i < frames; ++i) {
    EXPECT_EQ(at(offset, uint32_t{}), 0xFD2FB528U) << "frame " << i;
    const auto compressed = at(table + i * 12, uint32_t{});
    const auto content = at(table + i * 12 + 4, uint32_t{});
    EXPECT_EQ(content, i + 1 < frames ? 16384U : test::SmallCore().Build().size() % 16384);
    // "The least significant 32 bits of the XXH64 digest of the decompressed data": what ends a
    // frame.
    EXPECT_EQ(at(table + i * 12 + 8, uint32_t{}), at(offset + compressed - 4, uint32_t{}));
    offset += compressed;
  }
  EXPECT_EQ(at(offset, uint32_t{}), kTrailerFrameMagic);
}

TEST(SnapshotWriter, PlainZstdUnpacksIt) {
  if (!test::HaveCommand("zstd")) GTEST_SKIP() << "no zstd here";
  const test::TempDir dir;
  test::WriteFile(dir.Path("s.zst"), Written(Sample()));
  const test::CommandResult result = test::RunCommand("zstd -dcq " + dir.Path("s.zst"));
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.output, test::SmallCore().Build());
}

TEST(SnapshotWriter, MakesRoomByDroppingTheNewestFrames) {
  const RawSnapshot raw = Sample();
  test::MemorySink sink;
  SnapshotWriter writer(&sink, 0);
  for (size_t i = 0; i < raw.frames.size(); ++i) {
    ASSERT_TRUE(writer.Append(BatchOf(raw, i, 1)).ok());
  }
  EXPECT_EQ(writer.zero_pages(), raw.frames.size());
  const uint64_t end = sink.taken_bytes();
  ASSERT_TRUE(writer.MakeRoom(30).ok());
  EXPECT_LT(writer.zero_pages(), raw.frames.size());
  EXPECT_EQ(sink.taken_bytes(), writer.written_bytes());
  EXPECT_LE(writer.written_bytes() + writer.zero_pages() * 16 + 30, end);
  EXPECT_EQ(writer.plain_bytes(), writer.zero_pages() * 16384);
  const Status none = writer.MakeRoom(1 << 20);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, ErrorCode::kLimitExceeded);
}

TEST(SnapshotWriter, AFullDiskShowsAtAppend) {
  const RawSnapshot raw = Sample();
  test::MemorySink sink(raw.frames[0].size() + 3);
  SnapshotWriter writer(&sink, 0);
  ASSERT_TRUE(writer.Append(BatchOf(raw, 0, 0)).ok());
  const Status full = writer.Append(BatchOf(raw, 1, 0));
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.error().system_errno, ENOSPC);
  EXPECT_EQ(writer.plain_bytes(), raw.entries[0].content_bytes);
}

TEST(SnapshotFile, GivesBackFramesAndTrailer) {
  const RawSnapshot raw = Sample();
  const test::MemoryFile file(raw.Build());
  const auto snapshot = SnapshotFile::Open(file.path());
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().message;
  EXPECT_TRUE(snapshot.value()->complete());
  EXPECT_TRUE(snapshot.value()->damage().empty());
  EXPECT_EQ(snapshot.value()->frames().size(), raw.frames.size());
  const Trailer& trailer = *snapshot.value()->trailer();
  EXPECT_EQ(trailer.started_utc_ns, 11U);
  EXPECT_EQ(trailer.ended_utc_ns, 22U);
  EXPECT_EQ(trailer.zero_pages, 4U);
  EXPECT_EQ(trailer.counts.retried, 1U);
  EXPECT_EQ(trailer.counts.unreadable, 2U);
  EXPECT_EQ(trailer.runs, raw.trailer.runs);
  EXPECT_EQ(trailer.frame_ms, raw.frame_ms);
  EXPECT_EQ(snapshot.value()->TableChecksum(0), raw.entries[0].checksum);
  EXPECT_EQ(snapshot.value()->TableChecksum(1000), std::nullopt);
}

TEST(SnapshotFile, AReasonSaysWhyItIsNotComplete) {
  RawSnapshot raw = Sample();
  raw.trailer.complete = false;
  raw.trailer.reason = std::string(5000, 'x');
  const test::MemoryFile file(raw.Build());
  const auto snapshot = SnapshotFile::Open(file.path());
  ASSERT_TRUE(snapshot.ok());
  EXPECT_FALSE(snapshot.value()->complete());
  EXPECT_TRUE(snapshot.value()->damage().empty());
  EXPECT_EQ(snapshot.value()->trailer()->reason, std::string(kMaxReasonBytes, 'x'));
}

TEST(SnapshotSource, FlagsOfTheTrailerAreCaveats) {
  for (const bool outcomes : {false, true}) {
    for (const bool labels : {false, true}) {
      RawSnapshot raw = Sample();
      raw.trailer.outcomes_known = outcomes;
      raw.trailer.labels_known = labels;
      const test::MemoryFile file(raw.Build());
      const auto source = SnapshotSource::Open(file.path());
      ASSERT_TRUE(source.ok()) << source.error().message;
      EXPECT_EQ(source.value()->outcomes_known(), outcomes);
      EXPECT_EQ(source.value()->labels_known(), labels);
      EXPECT_EQ(source.value()->Caveats().size(), (outcomes ? 0U : 1U) + (labels ? 0U : 1U));
      EXPECT_EQ(source.value()->IncompleteReason(), "");
    }
  }
}

TEST(DecodeTrailer, AFlagOfLaterVersionsIsRefused) {
  RawSnapshot raw = Sample();
  Bytes head = EncodeTrailerHead(raw.trailer, static_cast<uint32_t>(raw.entries.size()));
  test::Poke(head, 12, uint32_t{33});
  raw.trailer_head = head;
  const auto trailer = DecodeTrailer(raw.EncodedTrailer(), raw.entries);
  ASSERT_FALSE(trailer.ok());
  EXPECT_EQ(trailer.error().code, ErrorCode::kUnsupported);
}

TEST(SnapshotFile, FindsTheFrameOfEveryByte) {
  const RawSnapshot raw = Sample();
  const test::MemoryFile file(raw.Build());
  const auto snapshot = SnapshotFile::Open(file.path()).value();
  EXPECT_EQ(snapshot->FrameAt(0), snapshot->frames().data());
  EXPECT_EQ(snapshot->FrameAt(16383), snapshot->frames().data());
  EXPECT_EQ(snapshot->FrameAt(16384), snapshot->frames().data() + 1);
  EXPECT_EQ(snapshot->FrameAt(snapshot->plain_bytes()), nullptr);
  EXPECT_EQ(snapshot->FrameAt(~uint64_t{0}), nullptr);
}

TEST(PlainReader, ReadsAnyPieceOfTheImage) {
  const Bytes core = test::SmallCore().Build();
  const test::MemoryFile file(Sample().Build());
  auto plain = PlainReader::Create(SnapshotFile::Open(file.path()).value());
  ASSERT_TRUE(plain.ok());
  test::Random random(9);
  for (int i = 0; i < 200; ++i) {
    const uint64_t at = random.Below(core.size());
    Bytes out(random.Below(40'000));
    const auto count = plain.value().ReadAt(at, out);
    ASSERT_TRUE(count.ok());
    ASSERT_EQ(count.value(), std::min<uint64_t>(out.size(), core.size() - at));
    ASSERT_TRUE(std::equal(out.begin(), out.begin() + static_cast<ptrdiff_t>(count.value()),
                           core.begin() + static_cast<ptrdiff_t>(at)));
  }
}

TEST(PlainReader, ADamagedFrameIsNamed) {
  const RawSnapshot raw = Sample();
  Bytes bytes = raw.Build();
  bytes[raw.frames[0].size() + raw.frames[1].size() / 2] ^= std::byte{0xff};
  const test::MemoryFile file(bytes);
  auto plain = PlainReader::Create(SnapshotFile::Open(file.path()).value());
  Bytes out(10);
  EXPECT_TRUE(plain.value().ReadAt(0, out).ok());
  const auto damaged = plain.value().ReadAt(16384, out);
  ASSERT_FALSE(damaged.ok());
  EXPECT_EQ(damaged.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(damaged.error().message.find("the frame at 0x"), std::string::npos);
  EXPECT_TRUE(plain.value().ReadAt(2 * 16384, out).ok());
}

ReadReport ReadFrom(const std::string& path, Location at, Bytes& out) {
  auto memory = Memory::Open(path);
  EXPECT_TRUE(memory.ok()) << (memory.ok() ? "" : memory.error().message);
  auto report = memory.value().NewReader().value().Read(at, out);
  EXPECT_TRUE(report.ok());
  return report.value();
}

TEST(SnapshotSource, HolesKeepTheirLabelsByEveryAddress) {
  const test::MemoryFile file(Sample().Build());
  Bytes out(4 * kPage);
  for (const Location at :
       {Location(PhysAddr{0x100000}), Location(VirtAddr{test::kDirectMap + 0x100000})}) {
    const ReadReport report = ReadFrom(file.path(), at, out);
    EXPECT_EQ(report.counts.unreadable, 2U);
    EXPECT_EQ(report.counts.direct, 2U);
    EXPECT_EQ(report.FirstHole()->first.address, at.address + kPage);
    EXPECT_EQ(report.FirstHole()->system_errno, EIO);
    EXPECT_TRUE(test::AllZero(std::span(out).subspan(kPage, 2 * kPage)));
  }
}

TEST(SnapshotSource, ARetriedPageIsAsGoodAsAny) {
  const test::MemoryFile file(Sample().Build());
  Bytes out(kPage);
  const ReadReport report = ReadFrom(file.path(), PhysAddr{0x2000}, out);
  EXPECT_EQ(report.counts.direct, 1U);
  EXPECT_EQ(out, test::SmallCoreBytes(0x2000, kPage));
}

TEST(SnapshotSource, ADamagedFrameIsAHoleWithEbadmsg) {
  const RawSnapshot raw = Sample();
  Bytes bytes = raw.Build();
  size_t offset = 0;
  for (size_t i = 0; i < 4; ++i) offset += raw.frames[i].size();
  bytes[offset + raw.frames[4].size() - 1] ^= std::byte{1};
  const test::MemoryFile file(bytes);
  Bytes out(16 * kPage);
  const ReadReport report = ReadFrom(file.path(), PhysAddr{test::kHighRam}, out);
  ASSERT_NE(report.FirstHole(), nullptr);
  bool found = false;
  for (const PageRun& run : report.runs) found |= run.system_errno == EBADMSG && run.pages == 4;
  EXPECT_TRUE(found);
}

TEST(SnapshotSource, ATornFileSaysWhatItDidNotReach) {
  const RawSnapshot raw = Sample();
  Bytes bytes;
  for (size_t i = 0; i < 3; ++i)
    bytes.insert(bytes.end(), raw.frames[i].begin(), raw.frames[i].end());
  const test::MemoryFile file(bytes);
  const auto source = SnapshotSource::Open(file.path());
  ASSERT_TRUE(source.ok()) << source.error().message;
  const PageCounts counts = source.value()->Counts().value();
  // Three frames of 16 KiB hold the head, the 8 low pages and 3 of the high ones.
  EXPECT_EQ(counts.direct, 11U);
  EXPECT_EQ(counts.not_reached, test::kSmallCorePages - 11U);
  Bytes out(kPage);
  EXPECT_EQ(ReadFrom(file.path(), PhysAddr{test::kHighRam + 3 * kPage}, out).counts.not_reached,
            1U);
  EXPECT_EQ(ReadFrom(file.path(), PhysAddr{test::kHighRam + 2 * kPage}, out).counts.direct, 1U);
}

TEST(DecodeTrailer, AnyFlippedByteIsFound) {
  const RawSnapshot raw = Sample();
  const Bytes payload = raw.EncodedTrailer();
  ASSERT_TRUE(DecodeTrailer(payload, raw.entries).ok());
  for (size_t at = 0; at < payload.size(); ++at) {
    Bytes bytes = payload;
    bytes[at] ^= std::byte{0x10};
    ASSERT_FALSE(DecodeTrailer(bytes, raw.entries).ok()) << at;
  }
  for (size_t size = 0; size < payload.size(); ++size) {
    ASSERT_FALSE(DecodeTrailer(std::span(payload).first(size), raw.entries).ok()) << size;
  }
  std::vector<SeekEntry> entries = raw.entries;
  entries[1].checksum ^= 1;
  EXPECT_FALSE(DecodeTrailer(payload, entries).ok());
}

TEST(NoteTypeName, NamesAllAndNumbersTheRest) {
  EXPECT_EQ(NoteTypeName(1), "meta");
  EXPECT_EQ(NoteTypeName(8), "version");
  EXPECT_EQ(NoteTypeName(99), "type 99");
}

}  // namespace
}  // namespace kcoredump
