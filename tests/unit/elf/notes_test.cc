// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "elf/elf_core.h"
#include "support/elf_builder.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::Joined;
using test::NoteBytes;
using test::Poke;

TEST(NoteSegment, OwnersTypesAndData) {
  const Bytes data = Joined({NoteBytes("CORE", 1, "regs"), NoteBytes("VMCOREINFO", 0, "A=1\n"),
                             NoteBytes("X", 99, "12345")});
  const NoteSegment segment = NoteSegment::Copy(data);
  const auto notes = segment.Parse();
  ASSERT_TRUE(notes.ok()) << notes.error().message;
  ASSERT_EQ(notes.value().size(), 3U);
  EXPECT_EQ(notes.value()[0].owner, "CORE");
  EXPECT_EQ(notes.value()[1].owner, "VMCOREINFO");
  EXPECT_EQ(notes.value()[1].type, 0U);
  EXPECT_EQ(test::ToText(notes.value()[1].data), "A=1\n");
  EXPECT_EQ(notes.value()[2].type, 99U);
  EXPECT_EQ(test::ToText(notes.value()[2].data), "12345");
}

TEST(NoteSegment, NothingIsNoNotes) {
  const NoteSegment segment = NoteSegment::Copy({});
  const auto notes = segment.Parse();
  ASSERT_TRUE(notes.ok());
  EXPECT_TRUE(notes.value().empty());
}

TEST(NoteSegment, AnOwnerWithoutNulEndsAtItsSize) {
  Bytes data = NoteBytes("ABCDEFG", 1, "data");
  Poke(data, 0, uint32_t{4});  // n_namesz: the name "ABCD", no NUL
  Poke(data, 4, uint32_t{4});
  data.resize(20);
  const NoteSegment segment = NoteSegment::Copy(data);
  const auto notes = segment.Parse();
  ASSERT_TRUE(notes.ok());
  EXPECT_EQ(notes.value().at(0).owner, "ABCD");
}

TEST(NoteSegment, EmptyOwnerAndEmptyData) {
  const Bytes data(12);
  const NoteSegment segment = NoteSegment::Copy(data);
  const auto notes = segment.Parse();
  ASSERT_TRUE(notes.ok());
  ASSERT_EQ(notes.value().size(), 1U);
  EXPECT_EQ(notes.value()[0].owner, "");
  EXPECT_TRUE(notes.value()[0].data.empty());
}

TEST(NoteSegment, SizesOfFourGigabytesAreCorrupt) {
  for (const size_t field : {size_t{0}, size_t{4}}) {
    for (const uint32_t size : {0xffffffffU, 0xfffffffcU, 0x80000000U, 1000U}) {
      Bytes data = NoteBytes("CORE", 1, "regs");
      Poke(data, field, size);
      const NoteSegment segment = NoteSegment::Copy(data);
      const auto notes = segment.Parse();
      ASSERT_FALSE(notes.ok()) << field << " " << size;
      EXPECT_EQ(notes.error().code, ErrorCode::kCorrupt);
    }
  }
}

TEST(NoteSegment, ATornNoteIsCorruptAndSaysWhere) {
  const Bytes whole = Joined({NoteBytes("CORE", 1, "regs"), NoteBytes("VMCOREINFO", 0, "A=1\n")});
  const size_t first = NoteBytes("CORE", 1, "regs").size();
  for (size_t size = first + 1; size < whole.size(); ++size) {
    const NoteSegment segment = NoteSegment::Copy(std::span(whole).first(size));
    const auto notes = segment.Parse();
    ASSERT_FALSE(notes.ok()) << size;
    EXPECT_NE(notes.error().message.find("0x18"), std::string::npos) << notes.error().message;
  }
}

TEST(NoteSegment, TooManyNotesAreALimit) {
  const Bytes data(12 * (kMaxNotes + 1));
  const NoteSegment segment = NoteSegment::Copy(data);
  const auto notes = segment.Parse();
  ASSERT_FALSE(notes.ok());
  EXPECT_EQ(notes.error().code, ErrorCode::kLimitExceeded);
}

TEST(NoteSegment, EveryByteFlippedNeverReachesOutside) {
  const Bytes whole = Joined({NoteBytes("CORE", 1, "regs"), NoteBytes("VMCOREINFO", 0, "A=1\n")});
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const int mask : {0xff, 0x01, 0x80}) {
      Bytes data = whole;
      data[at] ^= static_cast<std::byte>(mask);
      const NoteSegment segment = NoteSegment::Copy(data);
      const auto notes = segment.Parse();
      if (!notes.ok()) continue;
      for (const Note& note : notes.value()) {
        if (note.data.empty()) continue;
        ASSERT_GE(note.data.data(), segment.bytes().data());
        ASSERT_LE(note.data.data() + note.data.size(),
                  segment.bytes().data() + segment.bytes().size());
      }
    }
  }
}

TEST(AppendNoteHeader, IsReadBack) {
  for (const char* owner : {"", "A", "ABC", "ABCD", "KCOREDUMP"}) {
    Bytes data;
    AppendNoteHeader(data, owner, 7, 4);
    EXPECT_EQ(data.size() % 4, 0U);
    const Bytes content = test::ToBytes("1234");
    data.insert(data.end(), content.begin(), content.end());
    const NoteSegment segment = NoteSegment::Copy(data);
    const auto notes = segment.Parse();
    ASSERT_TRUE(notes.ok()) << notes.error().message;
    EXPECT_EQ(notes.value().at(0).owner, owner);
    EXPECT_EQ(notes.value().at(0).type, 7U);
    EXPECT_EQ(test::ToText(notes.value().at(0).data), "1234");
  }
}

ReadAtFunction Over(const Bytes& bytes) {
  return [&bytes](uint64_t offset, std::span<std::byte> out) -> Result<size_t> {
    return ReadFromBytes(bytes, offset, out);
  };
}

TEST(NoteSegmentRead, GivesTheBytesOfTheHeader) {
  const Bytes file = test::RandomBytes(3 << 20, 1);
  const auto bytes = NoteSegment::Read(Over(file), {.offset = 100, .filesz = (2 << 20) + 5});
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(test::ToText(bytes.value().bytes()),
            test::ToText(std::span(file).subspan(100, (2 << 20) + 5)));
}

TEST(NoteSegmentRead, FourGigabytesAreALimit) {
  const Bytes file(10);
  const auto bytes = NoteSegment::Read(Over(file), {.offset = 0, .filesz = uint64_t{4} << 30});
  ASSERT_FALSE(bytes.ok());
  EXPECT_EQ(bytes.error().code, ErrorCode::kLimitExceeded);
}

TEST(NoteSegmentRead, BeyondTheFileOrOverflowingIsCorrupt) {
  const Bytes file(10);
  for (const uint64_t offset : {uint64_t{5}, uint64_t{1} << 40, ~uint64_t{0} - 2}) {
    const auto bytes = NoteSegment::Read(Over(file), {.offset = offset, .filesz = 8});
    ASSERT_FALSE(bytes.ok());
    EXPECT_EQ(bytes.error().code, ErrorCode::kCorrupt);
  }
}

}  // namespace
}  // namespace kcoredump
