// SPDX-License-Identifier: MIT
#include "kcoredump/map.h"

#include <gtest/gtest.h>

#include <set>

#include "inspect/picture/map_canvas.h"
#include "inspect/picture/map_font.h"
#include "inspect/picture/map_kinds.h"
#include "inspect/picture/map_pages.h"
#include "support/test_bytes.h"

namespace kcoredump {
namespace {

using test::kPage;

/// RAM of 6 and of 4 pages with a gap between them.
MapCanvas SmallCanvas(uint32_t width, uint32_t height, std::vector<MapKind> kinds = ClassKinds()) {
  return {{{kPage, 7 * kPage}, {16 * kPage, 20 * kPage}},
          std::move(kinds),
          {.by = MapBy::kClass, .width = width, .height = height},
          kPage};
}

std::vector<std::string> Shown(const MemoryMapPicture& picture) {
  std::vector<std::string> names;
  for (const MapCell& cell : picture.cells) names.push_back(picture.kinds[cell.kind].name);
  return names;
}

TEST(MapCanvas, CellsLeaveOutTheGapsOfRam) {
  const MemoryMapPicture picture = SmallCanvas(2, 2).Finish();
  EXPECT_EQ(picture.total_pages, 10u);
  EXPECT_EQ(picture.cell_pages, 3u);
  ASSERT_EQ(picture.cells.size(), 4u);
  EXPECT_EQ(picture.cells[1].physical, 4 * kPage);
  EXPECT_EQ(picture.cells[2].physical, 16 * kPage);
  EXPECT_EQ(picture.cells[3].physical, 19 * kPage);
  EXPECT_EQ(picture.cells[3].pages, 1u);
}

TEST(MapCanvas, ACellShowsWhatMostOfItsPagesAre) {
  MapCanvas canvas = SmallCanvas(2, 2);
  canvas.Add(4, kClassFree);
  canvas.Add(2, kClassSlab);
  canvas.Add(4, kClassUser);
  const MemoryMapPicture picture = canvas.Finish();
  EXPECT_EQ(Shown(picture), (std::vector<std::string>{"free", "slab", "user", "user"}));
  EXPECT_EQ(picture.kinds[kClassFree].pages, 4u);
  EXPECT_EQ(picture.cells[1].kinds[kClassFree], 1u);
}

TEST(MapCanvas, OneHoleIsSeenAmongManyPages) {
  MapCanvas canvas = SmallCanvas(1, 1);
  canvas.Add(8, kClassFree);
  canvas.Add(1, kClassPoisoned);
  canvas.Add(1, kClassExcluded);
  EXPECT_EQ(Shown(canvas.Finish()), std::vector<std::string>{"poisoned"});
}

TEST(MapCanvas, MoreThanThereIsOfRamIsNotDrawn) {
  MapCanvas canvas = SmallCanvas(2, 2);
  canvas.Add(~uint64_t{0}, kClassFree);
  EXPECT_EQ(canvas.Finish().kinds[kClassFree].pages, 10u);
}

TEST(MapCanvas, SamplesLieWithinTheirCell) {
  const MapCanvas canvas = SmallCanvas(2, 1);
  EXPECT_EQ(canvas.SampleOf(0, 2), (std::vector<uint64_t>{kPage, 3 * kPage}));
  EXPECT_EQ(canvas.SampleOf(1, 99).size(), 5u);
  EXPECT_EQ(canvas.SampleOf(1, 99).back(), 19 * kPage);
}

TEST(MapCanvas, ASampleCountsForAllPagesOfItsCell) {
  MapCanvas canvas = SmallCanvas(1, 1, EntropyKinds());
  std::vector<uint64_t> seen(EntropyKinds().size());
  seen[kScaleZero] = 2;
  seen[7] = 1;
  canvas.AddSample(0, seen, 2.6);
  const MemoryMapPicture picture = canvas.Finish();
  EXPECT_TRUE(picture.sampled);
  EXPECT_EQ(picture.kinds[kScaleZero].pages + picture.kinds[7].pages, 10u);
  EXPECT_EQ(picture.kinds[7].pages, 3u);
  EXPECT_EQ(picture.cells[0].kind, 2u) << "the mean";
}

TEST(MapCanvas, WithoutRamThereIsNothing) {
  MapCanvas canvas({}, ClassKinds(), {}, kPage);
  const MemoryMapPicture picture = canvas.Finish();
  EXPECT_EQ(picture.rows(), 0u);
  EXPECT_TRUE(ToPng(picture).ok());
  EXPECT_NE(ToSvg(picture).find("</svg>"), std::string::npos);
}

TEST(MapKinds, HolesAreWhatTheirLabelSays) {
  EXPECT_EQ(ClassKindOfHole({}), std::nullopt);
  EXPECT_EQ(ClassKindOfHole({.outcome = PageOutcome::kRetried}), std::nullopt);
  EXPECT_EQ(ClassKindOfHole({.outcome = PageOutcome::kHwPoison}), kClassPoisoned);
  EXPECT_EQ(ClassKindOfHole({.outcome = PageOutcome::kOffline}), kClassUnreadable);
  EXPECT_EQ(ClassKindOfHole({.outcome = PageOutcome::kNotReached}), kClassUnreadable);
  EXPECT_EQ(ClassKindOfHole({.outcome = PageOutcome::kExcluded}), kClassExcluded);
  EXPECT_EQ(ClassKindOfHole({.outcome = PageOutcome::kExcluded, .page_class = PageClass::kZero}),
            kClassZero);
}

TEST(MapKinds, EveryUseHasAKindOfItsOwn) {
  EXPECT_EQ(ClassKindOf({.kind = PageKind::kPageTable}), kClassPageTable);
  EXPECT_EQ(ClassKindOf({.kind = PageKind::kKernel}), kClassKernel);
  EXPECT_EQ(ClassKindOf({}), kClassUnknown);
  EXPECT_EQ(ClassKindOf({.kind = PageKind::kUser, .fault = PageUse::Fault::kHwPoison}),
            kClassPoisoned);
}

TEST(MapKinds, LettersAndColoursTellKindsApart) {
  for (const auto& kinds : {ClassKinds(), OutcomeKinds(), EntropyKinds(), TimeKinds(1000)}) {
    std::set<char> letters;
    for (const MapKind& kind : kinds) {
      EXPECT_TRUE(letters.insert(kind.letter).second) << kind.name;
      EXPECT_LT(kind.ansi, 16) << kind.name;
      for (const char c : kind.name) {
        EXPECT_TRUE(c == ' ' || GlyphOf(c) != Glyph{}) << "PNG has no letter " << c;
      }
    }
  }
  EXPECT_EQ(OutcomeKinds().size(), static_cast<size_t>(PageOutcome::kExcluded) + 1);
}

TEST(EntropyOf, IsOfBytes) {
  EXPECT_EQ(EntropyOf(std::vector(4096, std::byte{7})), 0);
  std::vector<std::byte> bytes;
  for (int i = 0; i < 4096; ++i) bytes.push_back(static_cast<std::byte>(i));
  EXPECT_DOUBLE_EQ(EntropyOf(bytes), 8);
  EXPECT_DOUBLE_EQ(EntropyOf(test::Bytes{std::byte{1}, std::byte{2}}), 1);
  EXPECT_EQ(EntropyOf({}), 0);
}

TEST(MapText, HalfBlocksHoldTwoRows) {
  MapCanvas canvas = SmallCanvas(5, 2);
  canvas.Add(5, kClassFree);
  canvas.Add(5, kClassCache);
  const MemoryMapPicture picture = canvas.Finish();
  EXPECT_NE(ToText(picture, MapColours::k16).find("\x1b[90;44m▀▀▀▀▀\x1b[0m\n"), std::string::npos);
  EXPECT_NE(ToText(picture, MapColours::kTrue).find("\x1b[38;2;47;58;79;48;2;63;142;252m▀▀▀▀▀"),
            std::string::npos);
  const std::string letters = ToText(picture, MapColours::kNone);
  EXPECT_EQ(letters.substr(0, 52), "0x0000000000001000  .....\n0x0000000000006000  ccccc\n");
  EXPECT_NE(letters.find("  c  cache              20.0 KiB  50.0 %\n"), std::string::npos);
}

TEST(MapText, AnOddRowHasNothingBelow) {
  MapCanvas canvas = SmallCanvas(10, 1);
  canvas.Add(10, kClassUser);
  EXPECT_NE(ToText(canvas.Finish(), MapColours::k16).find("\x1b[32;49m▀"), std::string::npos);
}

}  // namespace
}  // namespace kcoredump
