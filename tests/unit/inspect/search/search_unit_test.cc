// SPDX-License-Identifier: MIT
#include "inspect/search/search_unit.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/checked.h"
#include "inspect/search/search_pieces.h"
#include "inspect/search/search_plan.h"
#include "support/fake_source.h"
#include "support/fake_view.h"
#include "support/test_bytes.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kPage;

/// Memory of a test's own, with holes in it.
struct PatchyMemory {
  uint64_t begin = 0;
  Bytes content;
  std::vector<MissingRange> missing;  ///< sorted, apart from each other

  [[nodiscard]] SearchRegion Region() const {
    return {.space = Target::Space::kPhysical, .range = {begin, begin + content.size()}};
  }
  void Put(uint64_t address, std::string_view text) {
    for (const char c : text) content[address++ - begin] = static_cast<std::byte>(c);
  }
};

class FakePieces : public PieceReader {
 public:
  explicit FakePieces(const PatchyMemory& memory) : memory_(memory) {}

  Status Read(uint64_t address, std::span<std::byte> out,
              std::vector<MissingRange>& missing) override {
    std::copy_n(memory_.content.begin() + static_cast<ptrdiff_t>(address - memory_.begin),
                out.size(), out.begin());
    for (const MissingRange& hole : memory_.missing) {
      const Range part{std::max(hole.range.begin, address),
                       std::min(hole.range.end, address + out.size())};
      if (part.empty()) continue;
      // What is missing must not be looked at: it would match.
      std::fill_n(out.begin() + static_cast<ptrdiff_t>(part.begin - address), part.size(),
                  std::byte{'x'});
      missing.push_back({.range = part, .unmapped = hole.unmapped});
    }
    return {};
  }

 private:
  const PatchyMemory& memory_;
};

struct Outcome {
  std::vector<Hit> hits;
  uint64_t searched_bytes = 0;
  uint64_t hole_bytes = 0;
  uint64_t unmapped_bytes = 0;
};

Outcome SearchAll(const PatchyMemory& memory, std::unique_ptr<Matcher> matcher) {
  auto searcher =
      UnitSearcher::Create(std::move(matcher), std::make_unique<FakePieces>(memory), nullptr);
  EXPECT_TRUE(searcher.ok());
  const SearchPlan plan({memory.Region()});
  Outcome outcome;
  for (uint64_t unit = 0; unit < plan.units(); ++unit) {
    UnitResult result;
    EXPECT_TRUE(searcher.value()
                    .Search(plan.RegionOf(unit), plan.RangeOf(unit), ~uint64_t{0}, result)
                    .ok());
    for (const FoundMatch& found : result.found) outcome.hits.push_back(found.hit);
    outcome.searched_bytes += result.searched_bytes;
    outcome.hole_bytes += result.hole_bytes;
    outcome.unmapped_bytes += result.unmapped_bytes;
  }
  return outcome;
}

std::vector<uint64_t> Addresses(const std::vector<Hit>& hits) {
  std::vector<uint64_t> addresses;
  for (const Hit& hit : hits) addresses.push_back(hit.address);
  return addresses;
}

std::unique_ptr<Matcher> TextMatcher(std::string_view text) {
  return MakeByteMatcher(TextPattern(text, false).value(), 1);
}

/// Units begin and end in it, and neither its beginning nor its end is a boundary of any kind.
PatchyMemory OddMemory() {
  return {.begin = kSearchUnitBytes - 0x5123,
          .content = Bytes(2 * kSearchUnitBytes + 12345),
          .missing = {}};
}

std::vector<uint64_t> PlacesOfInterest(const PatchyMemory& memory, size_t length) {
  std::vector<uint64_t> places = {memory.begin, memory.Region().range.end - length};
  for (const uint64_t boundary :
       {kSearchUnitBytes, 2 * kSearchUnitBytes, kSearchUnitBytes + kSearchStepBytes,
        kSearchUnitBytes + 5 * kSearchStepBytes, kSearchUnitBytes + kRegexWindowBytes,
        kSearchUnitBytes + kPage, kSearchUnitBytes + kSearchStepBytes + 2 * kPage}) {
    for (const size_t before : {size_t{0}, size_t{1}, length / 2, length - 1, length}) {
      places.push_back(boundary - before);
    }
  }
  std::ranges::sort(places);
  return places;
}

TEST(UnitSearcher, AMatchAtAnyBoundaryIsFoundOnce) {
  const std::string word = "needle-in-memory";
  for (const uint64_t place : PlacesOfInterest(OddMemory(), word.size())) {
    PatchyMemory memory = OddMemory();
    memory.Put(place, word);
    const std::vector<uint64_t> wanted = {place};
    EXPECT_EQ(Addresses(SearchAll(memory, TextMatcher(word)).hits), wanted) << place;
    auto regex = MakeRegexMatcher("needle(-in)*-memory", false, 1);
    EXPECT_EQ(Addresses(SearchAll(memory, std::move(regex.value())).hits), wanted) << place;
  }
}

TEST(UnitSearcher, NoMatchReachesAcrossAHole) {
  const uint64_t hole = kSearchUnitBytes + kSearchStepBytes;
  for (const uint64_t begin : {hole - kPage, hole, hole + kPage}) {
    PatchyMemory memory = OddMemory();
    memory.Put(begin - 3, "xxxxxx");
    memory.missing = {{.range = {begin, begin + kPage}}};
    const Outcome outcome = SearchAll(memory, TextMatcher("xxx"));
    EXPECT_EQ(Addresses(outcome.hits), std::vector<uint64_t>{begin - 3});
    EXPECT_EQ(outcome.hole_bytes, kPage);
    EXPECT_EQ(outcome.searched_bytes, memory.content.size() - kPage);
    memory.Put(begin - 40, std::string(kPage + 80, 'z'));
    const Outcome around = SearchAll(memory, TextMatcher(std::string(10, 'z')));
    EXPECT_EQ(around.hits.size(), 2U * 31U);
    for (const Hit& hit : around.hits) {
      EXPECT_TRUE(hit.address + hit.length <= begin || hit.address >= begin + kPage);
    }
  }
}

TEST(UnitSearcher, ARegexSeesNothingOfAHole) {
  PatchyMemory memory = OddMemory();
  const uint64_t hole = kSearchUnitBytes + 3 * kPage;
  memory.Put(hole - 2, "ab");
  memory.Put(hole + kPage, "cd");
  memory.missing = {{.range = {hole, hole + kPage}}};
  auto regex = MakeRegexMatcher("[a-z]+", false, 1);
  const Outcome outcome = SearchAll(memory, std::move(regex.value()));
  const std::vector<Hit> wanted = {{.address = hole - 2, .length = 2},
                                   {.address = hole + kPage, .length = 2}};
  EXPECT_EQ(outcome.hits, wanted);
}

/// Against a look at every position, with holes of all sizes in all places.
TEST(UnitSearcher, RandomMemoryWithRandomHoles) {
  test::Random random(11);
  for (unsigned round = 0; round < 6; ++round) {
    PatchyMemory memory = OddMemory();
    for (std::byte& byte : memory.content) byte = static_cast<std::byte>('w' + random.Below(3));
    uint64_t at = memory.begin;
    uint64_t holes = 0;
    uint64_t unmapped = 0;
    for (;;) {
      at = AlignUp(at + random.Below(round % 2 == 0 ? 900000 : 20000) + kPage, kPage);
      const uint64_t end = at + kPage * (1 + random.Below(random.Below(4) == 0 ? 200 : 2));
      if (end > memory.Region().range.end) break;
      const bool is_unmapped = random.Below(2) == 0;
      memory.missing.push_back({.range = {at, end}, .unmapped = is_unmapped});
      (is_unmapped ? unmapped : holes) += end - at;
      at = end;
    }
    std::vector<uint64_t> wanted;
    const std::string word = "xwyxwx";
    std::vector<Range> good = {memory.Region().range};
    std::vector<Range> bad;
    for (const MissingRange& hole : memory.missing) bad.push_back(hole.range);
    for (const Range& range : Subtract(good, bad)) {
      const char* text = reinterpret_cast<const char*>(memory.content.data());
      const std::string_view view(text + (range.begin - memory.begin), range.size());
      for (size_t i = view.find(word); i != std::string_view::npos; i = view.find(word, i + 1)) {
        wanted.push_back(range.begin + i);
      }
    }
    const Outcome outcome = SearchAll(memory, TextMatcher(word));
    ASSERT_FALSE(wanted.empty());
    EXPECT_EQ(Addresses(outcome.hits), wanted);
    EXPECT_EQ(outcome.hole_bytes, holes);
    EXPECT_EQ(outcome.unmapped_bytes, unmapped);
    EXPECT_EQ(outcome.searched_bytes, memory.content.size() - holes - unmapped);
  }
}

/// Which match comes first decides on all that follow: a unit must know of the one before.
TEST(UnitSearcher, RegexMatchesAreTheSameFromAnyBeginning) {
  PatchyMemory memory = OddMemory();
  const uint64_t edge = 2 * kSearchUnitBytes;
  memory.Put(edge - 301, std::string(602, 'a'));
  auto regex = MakeRegexMatcher("aaa", false, 1);
  const Outcome outcome = SearchAll(memory, std::move(regex.value()));
  ASSERT_EQ(outcome.hits.size(), 200U);
  for (size_t i = 0; i < outcome.hits.size(); ++i) {
    EXPECT_EQ(outcome.hits[i].address, edge - 301 + 3 * i);
  }
}

TEST(UnitSearcher, KeepsTheMatchAndWhatFollows) {
  PatchyMemory memory = OddMemory();
  const uint64_t end = memory.Region().range.end;
  memory.Put(kSearchUnitBytes - 2, "abcdef");
  memory.Put(end - 4, "abcd");
  auto searcher =
      UnitSearcher::Create(TextMatcher("abc"), std::make_unique<FakePieces>(memory), nullptr);
  const SearchPlan plan({memory.Region()});
  UnitResult first;
  ASSERT_TRUE(searcher.value().Search(plan.RegionOf(0), plan.RangeOf(0), 10, first).ok());
  ASSERT_EQ(first.found.size(), 1U);
  EXPECT_EQ(first.found[0].bytes.size(), kPreviewBytes);
  EXPECT_EQ(test::ToText(std::span(first.found[0].bytes).first(6)), "abcdef");
  UnitResult last;
  const uint64_t unit = plan.units() - 1;
  ASSERT_TRUE(searcher.value().Search(plan.RegionOf(unit), plan.RangeOf(unit), 10, last).ok());
  ASSERT_EQ(last.found.size(), 1U);
  EXPECT_EQ(test::ToText(last.found[0].bytes), "abcd");
}

TEST(UnitSearcher, MemoryUpToTheLastAddress) {
  PatchyMemory memory{
      .begin = ~uint64_t{0} - 3 * kPage + 1, .content = Bytes(3 * kPage - 1), .missing = {}};
  memory.Put(memory.Region().range.end - 3, "end");
  const Outcome outcome = SearchAll(memory, TextMatcher("end"));
  EXPECT_EQ(Addresses(outcome.hits), std::vector<uint64_t>{memory.Region().range.end - 3});
  EXPECT_EQ(outcome.searched_bytes, memory.content.size());
}

TEST(SearchPlan, UnitsCoverEachRegionOnce) {
  const SearchPlan plan({{.range = {0x1000, 0x3000}},
                         {.range = {0, 0}},
                         {.range = {kSearchUnitBytes - 1, 3 * kSearchUnitBytes + 1}},
                         {.range = {~uint64_t{0} - 10, ~uint64_t{0}}}});
  ASSERT_EQ(plan.regions().size(), 3U);
  ASSERT_EQ(plan.units(), 1U + 4U + 1U);
  const std::vector<Range> wanted = {{0x1000, 0x3000},
                                     {kSearchUnitBytes - 1, kSearchUnitBytes},
                                     {kSearchUnitBytes, 2 * kSearchUnitBytes},
                                     {2 * kSearchUnitBytes, 3 * kSearchUnitBytes},
                                     {3 * kSearchUnitBytes, 3 * kSearchUnitBytes + 1},
                                     {~uint64_t{0} - 10, ~uint64_t{0}}};
  for (uint64_t unit = 0; unit < plan.units(); ++unit) {
    EXPECT_EQ(plan.RangeOf(unit), wanted[unit]) << unit;
  }
  EXPECT_EQ(plan.total_bytes(), 0x2000 + 2 * kSearchUnitBytes + 2 + 10);
}

TEST(SearchPieces, PhysicalHolesAreMissing) {
  const auto source = test::FlatSource(16);
  source->script().labels[test::kFlatStart + 3 * kPage] = {.outcome = PageOutcome::kOffline};
  source->script().failing_for_ever[test::kFlatStart + 5 * kPage] = EIO;
  auto pieces = MakePhysicalPieces(*source);
  ASSERT_TRUE(pieces.ok());
  Bytes out(6 * kPage);
  std::vector<MissingRange> missing;
  ASSERT_TRUE(pieces.value()->Read(test::kFlatStart + 100, out, missing).ok());
  ASSERT_EQ(missing.size(), 2U);
  EXPECT_EQ(missing[0].range, (Range{test::kFlatStart + 3 * kPage, test::kFlatStart + 4 * kPage}));
  EXPECT_EQ(missing[1].range, (Range{test::kFlatStart + 5 * kPage, test::kFlatStart + 6 * kPage}));
  EXPECT_FALSE(missing[0].unmapped);
}

TEST(SearchPieces, UnmappedPagesAreToldFromUnreadableOnes) {
  auto view = std::make_shared<test::FakeView>();
  view->Put(0x1000, Bytes(0x1000, std::byte{1}));
  view->Put(0x4000, Bytes(0x1000, std::byte{4}));
  const MappingLookup mapping = [](uint64_t address) -> AlikeRange {
    if (address < 0x2000) return {MappingState::kMapped, 0x2000 - address};
    if (address < 0x3000) return {MappingState::kUnmapped, 0x3000 - address};
    return {MappingState::kMapped, 0x6000 - address};
  };
  const auto pieces = MakeViewPieces(view, kPage, mapping);
  Bytes out(0x4800);
  std::vector<MissingRange> missing;
  ASSERT_TRUE(pieces->Read(0x1000, out, missing).ok());
  ASSERT_EQ(missing.size(), 3U);
  EXPECT_EQ(missing[0].range, (Range{0x2000, 0x3000}));
  EXPECT_TRUE(missing[0].unmapped);
  EXPECT_EQ(missing[1].range, (Range{0x3000, 0x4000}));
  EXPECT_FALSE(missing[1].unmapped);
  EXPECT_EQ(missing[2].range, (Range{0x5000, 0x5800}));
  EXPECT_EQ(out[0], std::byte{1});
  EXPECT_EQ(out[0x3000], std::byte{4});
}

}  // namespace
}  // namespace kcoredump
