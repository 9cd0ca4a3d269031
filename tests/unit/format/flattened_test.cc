// SPDX-License-Identifier: MIT
//
// Flattened files: records that lie anywhere and on each other, and those that are damaged.
#include <gtest/gtest.h>

#include "format/flattened/format.h"
#include "format/flattened/reader.h"
#include "kcoredump/inspect.h"
#include "support/elf_builder.h"
#include "support/files.h"
#include "support/image_read.h"
#include "support/kdump_builder.h"
#include "support/one_thread.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kPage;
using test::MemoryFile;

/// The file that these records make up; throws where it is refused.
class Stream {
 public:
  Stream& Add(int64_t offset, std::string_view text) {
    return AddRecord(offset, static_cast<int64_t>(text.size()), test::ToBytes(text));
  }
  Stream& AddRecord(int64_t offset, int64_t size, const Bytes& data) {
    const Bytes record = test::FlattenedRecordBytes(offset, size, data);
    bytes_.insert(bytes_.end(), record.begin(), record.end());
    return *this;
  }
  Stream& End() { return AddRecord(-1, -1, {}); }
  Stream& AddRaw(const Bytes& raw) {
    bytes_.insert(bytes_.end(), raw.begin(), raw.end());
    return *this;
  }

  [[nodiscard]] Result<InputFile> Open() {
    file_.Set(bytes_);
    auto stream = OpenInputFile(file_.path());
    if (!stream.ok()) return std::move(stream.error());
    return Rearranged(stream.value());
  }
  /// All that the rearranged file has; dots for zeros.
  [[nodiscard]] std::string Text() {
    const auto file = Open();
    if (!file.ok()) return "error: " + file.error().message;
    Bytes out(file.value().bytes + 10);
    const auto count = file.value().read_at(0, out);
    if (!count.ok()) return "error: " + count.error().message;
    out.resize(count.value());
    std::string text = test::ToText(out);
    for (char& c : text) c = c == '\0' ? '.' : c;
    return text;
  }

 private:
  Bytes bytes_ = test::FlattenedHeader();
  MemoryFile file_;
};

TEST(Flattened, RecordsStandWhereTheySay) {
  EXPECT_EQ(Stream().Add(0, "abc").Add(3, "def").End().Text(), "abcdef");
  EXPECT_EQ(Stream().Add(4, "ef").Add(0, "abcd").End().Text(), "abcdef");
  EXPECT_EQ(Stream().Add(3, "d").Add(6, "g").End().Text(), "...d..g");
  EXPECT_EQ(Stream().End().Text(), "");
}

TEST(Flattened, LaterRecordsLieOnEarlierOnes) {
  EXPECT_EQ(Stream().Add(0, "aaaaaa").Add(2, "bb").End().Text(), "aabbaa");
  EXPECT_EQ(Stream().Add(2, "bb").Add(0, "aaaaaa").End().Text(), "aaaaaa");
  EXPECT_EQ(Stream().Add(0, "aaaa").Add(2, "bbbb").Add(1, "cc").End().Text(), "accbbb");
  EXPECT_EQ(Stream().Add(0, "abc").Add(0, "xyz").Add(0, "abc").End().Text(), "abc");
  EXPECT_EQ(Stream().Add(0, "aaaaaaaa").Add(1, "bbbb").Add(2, "cc").Add(6, "d").End().Text(),
            "abccbada");
}

/// Any records, against the same records written one after another.
TEST(Flattened, IsWhatWritingOneAfterAnotherGives) {
  test::Random random(7);
  for (int round = 0; round < 300; ++round) {
    Stream stream;
    std::string expected;
    for (uint64_t i = 1 + random.Below(12); i > 0; --i) {
      const size_t at = random.Below(40);
      const std::string text(1 + random.Below(20), static_cast<char>('a' + random.Below(26)));
      if (expected.size() < at + text.size()) expected.resize(at + text.size(), '.');
      expected.replace(at, text.size(), text);
      stream.Add(static_cast<int64_t>(at), text);
    }
    ASSERT_EQ(stream.End().Text(), expected) << round;
  }
}

TEST(Flattened, ReadsInPieces) {
  Stream stream;
  for (int i = 0; i < 100; ++i) stream.Add(i * 7, "1234567");
  const auto file = stream.End().Open();
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file.value().bytes, 700U);
  for (const size_t at : {size_t{0}, size_t{6}, size_t{7}, size_t{350}, size_t{699}, size_t{700}}) {
    Bytes out(9);
    const auto count = file.value().read_at(at, out);
    ASSERT_TRUE(count.ok());
    EXPECT_EQ(count.value(), std::min<size_t>(9, 700 - at));
    for (size_t i = 0; i < count.value(); ++i) {
      EXPECT_EQ(static_cast<char>(out[i]), static_cast<char>('1' + (at + i) % 7));
    }
  }
}

TEST(Flattened, HoldsAKdumpFile) {
  const test::KdumpBuilder dump = test::SmallKdump();
  for (const size_t record : {size_t{24}, size_t{500}, size_t{65536}}) {
    const MemoryFile file(test::Flattened(dump.Build(), record));
    const auto back = test::ReadImage(file.path(), 0, 48 * kPage);
    for (const uint64_t pfn : dump.memory) {
      if (dump.excluded.contains(pfn)) continue;
      const auto page = std::span(back.bytes).subspan(pfn * kPage, kPage);
      EXPECT_EQ(Bytes(page.begin(), page.end()), dump.PageContent(pfn)) << pfn;
    }
    const auto info = Describe(file.path());
    ASSERT_TRUE(info.ok());
    EXPECT_EQ(info.value().format, "flattened kdump");
    EXPECT_EQ(info.value().pages.excluded, 4U);
    EXPECT_TRUE(Verify(file.path(), test::OneThread()).value().complete);
  }
}

TEST(Flattened, HoldsAnElfCore) {
  const MemoryFile file(test::Flattened(test::SmallCore().Build()));
  const auto back = test::ReadImage(file.path(), test::kHighRam, test::kHighRamBytes);
  EXPECT_EQ(back.bytes, test::SmallCoreBytes(test::kHighRam, test::kHighRamBytes));
  EXPECT_EQ(Describe(file.path()).value().format, "flattened elf");
}

TEST(Flattened, HoldsSomethingElse) {
  const MemoryFile file(test::Flattened(test::ToBytes("neither a dump nor a core"), 5));
  EXPECT_NE(test::OpenError(file.path()).find("neither a kdump file nor an ELF core"),
            std::string::npos);
}

TEST(Flattened, ATypeOrVersionThatDoesNotExist) {
  for (const size_t at : {size_t{23}, size_t{31}, size_t{16}}) {
    Bytes bytes = test::Flattened(test::SmallKdump().Build());
    bytes[at] = std::byte{9};
    EXPECT_NE(test::OpenError(MemoryFile(bytes).path()).find("this program knows type 1"),
              std::string::npos);
  }
}

TEST(Flattened, HeadersAndRecordsAreEncodedAsTheyAreDecoded) {
  const auto header = EncodeFlattenedHeader();
  EXPECT_EQ(Bytes(header.begin(), header.end()), test::FlattenedHeader());
  const auto record = EncodeFlattenedRecord({.offset = 0x123456789a, .bytes = 77});
  EXPECT_EQ(Bytes(record.begin(), record.end()), test::FlattenedRecordBytes(0x123456789a, 77, {}));
  EXPECT_TRUE(DecodeFlattenedRecord(EncodeFlattenedRecord({.offset = -1, .bytes = -1})).IsEnd());
}

TEST(FlattenedDamage, CutOffAtManyLengths) {
  const Bytes bytes = test::Flattened(test::SmallKdump().Build(), 3000);
  MemoryFile file;
  for (size_t size = 0; size < bytes.size(); size += size < 5000 ? 61 : 307) {
    file.Set(std::span(bytes).first(size));
    const auto info = Describe(file.path());
    if (info.ok()) {
      EXPECT_FALSE(info.value().complete) << size;
      (void)ToText(info.value());
    }
    const auto report = Verify(file.path(), test::OneThread());
    if (report.ok()) {
      EXPECT_FALSE(report.value().complete) << size;
      // What is there is right; the rest is labelled, and not another page or zeros.
      const auto back = test::ReadImage(file.path(), 0, 48 * kPage);
      for (const uint64_t pfn : test::SmallKdump().memory) {
        if (IsHole(back.OutcomeAt(pfn * kPage))) continue;
        const auto page = std::span(back.bytes).subspan(pfn * kPage, kPage);
        ASSERT_EQ(Bytes(page.begin(), page.end()), test::SmallKdump().PageContent(pfn)) << size;
      }
    }
  }
}

/// The page data came, a part of them in the middle did not: zeros there would be a lie.
TEST(FlattenedDamage, AGapInATornStreamIsNoZeros) {
  Stream stream;
  const auto file = stream.Add(0, "abc").Add(10, "xyz").Open();
  ASSERT_TRUE(file.ok());
  EXPECT_NE(file.value().torn, "");
  Bytes out(13);
  EXPECT_EQ(file.value().read_at(0, out).value(), 3U);
  EXPECT_EQ(file.value().read_at(5, out).value(), 0U);
  EXPECT_EQ(file.value().read_at(11, out).value(), 2U);
}

TEST(FlattenedDamage, RecordsThatMakeNoSenseEndTheStream) {
  for (const auto& [offset, size] : {std::pair<int64_t, int64_t>{-2, 5},
                                     {5, 0},
                                     {5, -1},
                                     {-1, 7},
                                     {0x7fffffffffffffff, 5},
                                     {5, 0x7fffffffffffffff}}) {
    Stream stream;
    const auto file =
        stream.Add(0, "abc").AddRecord(offset, size, test::ToBytes("xxxxx")).End().Open();
    ASSERT_TRUE(file.ok()) << offset;
    EXPECT_NE(file.value().torn, "") << offset << " " << size;
  }
}

TEST(FlattenedDamage, EveryHeaderAndRecordHeadByteFlipped) {
  const Bytes bytes = test::Flattened(test::SmallKdump().Build(), 20000);
  MemoryFile file;
  for (size_t at = 0; at < bytes.size(); ++at) {
    if (at == 32) at = 4096;  // padding
    if (at >= 4096 && (at - 4096) % 20016 >= 16) continue;
    Bytes changed = bytes;
    changed[at] ^= std::byte{0xff};
    file.Set(changed);
    (void)Describe(file.path());
    (void)Verify(file.path(), test::OneThread());
  }
}

TEST(FlattenedDamage, TheSameRecordAMillionTimes) {
  Bytes bytes = test::FlattenedHeader();
  const Bytes record = test::FlattenedRecordBytes(0, 1, test::ToBytes("x"));
  while (bytes.size() < (24 << 20)) bytes.insert(bytes.end(), record.begin(), record.end());
  Stream stream;
  stream.AddRaw(Bytes(bytes.begin() + 4096, bytes.end()));
  const auto file = stream.End().Open();
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file.value().bytes, 1U);
}

TEST(FlattenedDamage, MoreRecordsThanAreAccepted) {
  Bytes bytes;
  for (size_t i = 0; i <= kMaxFlattenedRecords; ++i) {
    const Bytes record =
        test::FlattenedRecordBytes(static_cast<int64_t>(2 * i), 1, test::ToBytes("x"));
    bytes.insert(bytes.end(), record.begin(), record.end());
  }
  Stream stream;
  const auto file = stream.AddRaw(bytes).End().Open();
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, ErrorCode::kLimitExceeded);
}

}  // namespace
}  // namespace kcoredump
