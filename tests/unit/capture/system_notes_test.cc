// SPDX-License-Identifier: MIT
#include "capture/system_notes.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "elf/elf_core.h"
#include "format/snapshot/format.h"
#include "support/fake_source.h"

namespace kcoredump {
namespace {

TEST(KallsymsShowsAddresses, PerCpuZerosAreNoHiding) {
  EXPECT_TRUE(
      KallsymsShowsAddresses("0000000000000000 A fixed_percpu_data\nffffffff81000000 T _stext\n"));
  EXPECT_TRUE(KallsymsShowsAddresses("ffffffff81000000 T _stext\nffffffff81000000 T _text\n"));
}

TEST(KallsymsShowsAddresses, ZerosAtStextAre) {
  EXPECT_FALSE(KallsymsShowsAddresses(
      "0000000000000000 A fixed_percpu_data\n0000000000000000 T _stext\nffffffff81000000 T x\n"));
  EXPECT_FALSE(KallsymsShowsAddresses("0000000000000000 T _text\n"));
  EXPECT_FALSE(KallsymsShowsAddresses(""));
  EXPECT_FALSE(KallsymsShowsAddresses("ffffffff81000000 T other\n"));
}

TEST(KallsymsShowsAddresses, AModulesSymbolOfThatNameDoesNotCount) {
  EXPECT_FALSE(KallsymsShowsAddresses("ffffffffc0000000 t _stext\t[evil]\n"));
}

TEST(CollectSystemNotes, AFileTellsNothingOfThisMachinesKernel) {
  const auto source = test::FlatSource(1);
  CaptureOptions options;
  options.source =
      "a\xff"
      "b";
  options.arguments = {"kcoredump", "capture"};
  const SystemNotes notes = CollectSystemNotes(*source, options);
  const NoteSegment segment = NoteSegment::Copy(notes.bytes);
  const auto parsed = segment.Parse();
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed.value().size(), 1U);
  EXPECT_EQ(parsed.value()[0].owner, kNoteOwner);
  EXPECT_EQ(parsed.value()[0].type, static_cast<uint32_t>(NoteType::kMeta));
  const auto meta = nlohmann::json::parse(test::ToText(parsed.value()[0].data));
  EXPECT_EQ(meta["tool"], "kcoredump");
  EXPECT_EQ(meta["source_kind"], "file");
  EXPECT_EQ(meta["arguments"].size(), 2U);
  EXPECT_FALSE(meta.contains("boot_id"));
  EXPECT_EQ(notes.bytes.size() % 4, 0U);
}

/// Its notes are moved together in place, whatever stood between them.
TEST(CollectSystemNotes, ASnapshotsNotesAreKeptWithoutItsMetadata) {
  const auto source = test::FlatSource(1);
  for (const test::Bytes& note :
       {test::NoteBytes("KCOREDUMP", 1, "{\"version\":\"9\"}"), test::NoteBytes("OTHER", 2, "no"),
        test::NoteBytes("KCOREDUMP", 8, "Linux version"), test::NoteBytes("KCOREDUMP", 4, ""),
        test::NoteBytes("KCOREDUMP", 2, std::string(5001, 'k'))}) {
    source->vendor_notes.insert(source->vendor_notes.end(), note.begin(), note.end());
  }
  const SystemNotes notes = CollectSystemNotes(*source, CaptureOptions());
  EXPECT_EQ(notes.kallsyms, KallsymsState::kIncluded);
  const NoteSegment segment = NoteSegment::Copy(notes.bytes);
  const auto parsed = segment.Parse();
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed.value().size(), 4U);
  EXPECT_EQ(test::ToText(parsed.value()[0].data), "Linux version");
  EXPECT_EQ(parsed.value()[1].type, 4U);
  EXPECT_EQ(test::ToText(parsed.value()[2].data), std::string(5001, 'k'));
  const auto meta = nlohmann::json::parse(test::ToText(parsed.value()[3].data));
  EXPECT_EQ(meta["source_meta"]["version"], "9");
}

/// What a capture of a live kernel writes of kpageflags is in the trailer and in its metadata.
TEST(PageFlagsOf, AFileHasNone) {
  EXPECT_EQ(PageFlagsOf(*test::FlatSource(1)), PageFlagsState::kNotApplicable);
}

}  // namespace
}  // namespace kcoredump
