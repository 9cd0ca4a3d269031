// SPDX-License-Identifier: MIT
#include "kcoredump/search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "inspect/search/search_unit.h"
#include "support/elf_builder.h"
#include "support/files.h"
#include "support/raw_snapshot.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kDirectMap;
using test::kImageBase;
using test::kPage;

constexpr uint64_t kFirst = 0x100000;  ///< two segments that follow each other
constexpr uint64_t kSecondCopy = kFirst + 0x8000;
constexpr uint64_t kLarge = 0x400000;  ///< more than one unit
constexpr uint64_t kLargeBytes = 2 * kSearchUnitBytes + 5 * kPage;
constexpr uint64_t kImage = kLarge + 0x10000;
constexpr uint64_t kRamBytes = 0x8000 + 0x4000 + kLargeBytes;

/// An ELF core whose RAM is zero but for what tests put there.
class Core {
 public:
  void Put(uint64_t phys, std::string_view text) { texts_.emplace_back(phys, text); }
  /// So many pages at the end of the large segment are not in the file.
  uint64_t absent_pages = 0;

  [[nodiscard]] Bytes Build() const {
    test::ElfBuilder elf;
    elf.AddNote("VMCOREINFO", 0, "OSRELEASE=6.1.0-test\nPAGESIZE=4096\n");
    elf.AddAlias(kImageBase, kImage, 0x8000);
    Add(elf, kFirst, 0x8000, 0);
    Add(elf, kSecondCopy, 0x4000, 0);
    Add(elf, kLarge, kLargeBytes, absent_pages);
    return elf.Build();
  }

 private:
  void Add(test::ElfBuilder& elf, uint64_t phys, uint64_t bytes, uint64_t absent) const {
    Bytes content(bytes - absent * kPage);
    for (const auto& [at, text] : texts_) {
      for (size_t i = 0; i < text.size(); ++i) {
        if (at + i >= phys && at + i < phys + content.size()) {
          content[at + i - phys] = static_cast<std::byte>(text[i]);
        }
      }
    }
    Elf64_Phdr header = test::LoadHeader(kDirectMap + phys, phys, content.size());
    header.p_memsz = bytes;
    elf.AddLoad(header, std::move(content));
  }

  std::vector<std::pair<uint64_t, std::string>> texts_;
};

SearchReport Found(const Core& core, const SearchOptions& options) {
  const test::MemoryFile file(core.Build());
  auto kernel = Kernel::Open(file.path());
  EXPECT_TRUE(kernel.ok()) << (kernel.ok() ? "" : kernel.error().message);
  auto report = Search(kernel.value(), options);
  EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().message);
  return report.ok() ? std::move(report.value()) : SearchReport{};
}

Error Refused(const SearchOptions& options) {
  const test::MemoryFile file(Core().Build());
  auto kernel = Kernel::Open(file.path());
  EXPECT_TRUE(kernel.ok());
  auto report = Search(kernel.value(), options);
  EXPECT_FALSE(report.ok());
  return report.ok() ? Error{} : std::move(report.error());
}

SearchOptions For(std::string pattern, PatternKind kind = PatternKind::kText) {
  SearchOptions options;
  options.pattern = std::move(pattern);
  options.kind = kind;
  return options;
}

std::vector<uint64_t> Physical(const SearchReport& report) {
  std::vector<uint64_t> addresses;
  for (const SearchMatch& match : report.matches) addresses.push_back(match.phys.value_or(0));
  return addresses;
}

Core Scattered() {
  Core core;
  core.Put(kLarge + 7, "secret one");
  core.Put(kFirst, "secret two");
  core.Put(kSecondCopy - 3, "secret across segments");
  core.Put(kLarge + kSearchUnitBytes - 1, "secret across units");
  core.Put(kLarge + kLargeBytes - 6, "secret");
  return core;
}

const std::vector<uint64_t> kScattered = {kFirst, kSecondCopy - 3, kLarge + 7,
                                          kLarge + kSearchUnitBytes - 1, kLarge + kLargeBytes - 6};

TEST(Search, AddressOrderWhateverTheThreads) {
  for (const unsigned threads : {1U, 2U, 7U}) {
    for (const auto kind : {PatternKind::kText, PatternKind::kRegex}) {
      SearchOptions options = For("secret", kind);
      options.threads = threads;
      const SearchReport report = Found(Scattered(), options);
      EXPECT_EQ(Physical(report), kScattered) << threads;
      EXPECT_TRUE(report.complete);
      EXPECT_FALSE(report.findings.incomplete);
      EXPECT_EQ(report.searched_bytes, kRamBytes);
      EXPECT_EQ(report.total_bytes, kRamBytes);
    }
  }
}

TEST(Search, ASnapshotGivesTheSame) {
  const test::MemoryFile file(test::RawSnapshot::Of(Scattered().Build()).Build());
  auto kernel = Kernel::Open(file.path());
  ASSERT_TRUE(kernel.ok());
  const auto report = Search(kernel.value(), For("secret"));
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(Physical(report.value()), kScattered);
}

TEST(Search, SegmentsThatDoNotTouchAreNotJoined) {
  Core core;
  core.Put(kSecondCopy + 0x4000 - 3, "abc");
  core.Put(kLarge, "def");
  EXPECT_TRUE(Found(core, For("abcdef")).matches.empty());
  EXPECT_EQ(Found(core, For("abc")).matches.size(), 1U);
}

TEST(Search, WhereAMatchIs) {
  Core core;
  core.Put(kImage + 0x123, "in the image");
  core.Put(kFirst + 0x10, "in RAM");
  const SearchReport image = Found(core, For("in the image"));
  ASSERT_EQ(image.matches.size(), 1U);
  EXPECT_EQ(image.matches[0].virt, kImageBase + 0x123);
  EXPECT_EQ(image.matches[0].aliases, std::vector<uint64_t>{kDirectMap + kImage + 0x123});
  EXPECT_EQ(image.matches[0].length, 12U);
  const SearchReport ram = Found(core, For("in RAM"));
  ASSERT_EQ(ram.matches.size(), 1U);
  EXPECT_EQ(ram.matches[0].virt, kDirectMap + kFirst + 0x10);
  EXPECT_TRUE(ram.matches[0].aliases.empty());
}

TEST(Search, WordsAreAligned) {
  Core core;
  core.Put(kFirst + 0x100, "\x88\x77\x66\x55\x44\x33\x22\x11");
  core.Put(kFirst + 0x204, "\x88\x77\x66\x55\x44\x33\x22\x11");
  SearchOptions options = For("0x1122334455667788", PatternKind::kWord);
  EXPECT_EQ(Physical(Found(core, options)), std::vector<uint64_t>{kFirst + 0x100});
  options.alignment = 4;
  EXPECT_EQ(Found(core, options).matches.size(), 2U);
  options.alignment = 0;
  options.word_bytes = 4;
  options.pattern = "0x55667788";
  EXPECT_EQ(Found(core, options).matches.size(), 2U);
}

TEST(Search, HolesAreLeftOutAndReported) {
  Core core;
  core.absent_pages = 3;
  core.Put(kLarge + kLargeBytes - 3 * kPage - 3, "secret");
  core.Put(kFirst, "secret");
  const SearchReport report = Found(core, For("secret"));
  EXPECT_EQ(Physical(report), std::vector<uint64_t>{kFirst});
  EXPECT_EQ(report.hole_bytes, 3 * kPage);
  EXPECT_EQ(report.searched_bytes, kRamBytes - 3 * kPage);
  EXPECT_TRUE(report.complete);
  EXPECT_TRUE(report.findings.incomplete);
  ASSERT_FALSE(report.findings.notes.empty());
  EXPECT_NE(report.findings.notes.back().find("12.0 KiB"), std::string::npos);
  // What is not in the file reads as zeros, but they are none of its.
  SearchOptions zeros = For("0000", PatternKind::kBytes);
  zeros.range = SearchRange{
      .at = {.space = Target::Space::kPhysical, .address = kLarge + kLargeBytes - 3 * kPage},
      .bytes = 3 * kPage};
  EXPECT_TRUE(Found(core, zeros).matches.empty());
}

TEST(Search, StopsAtTheMaximumAndSaysSo) {
  for (const unsigned threads : {1U, 3U}) {
    SearchOptions options = For("secret");
    options.threads = threads;
    options.max_matches = 3;
    const SearchReport report = Found(Scattered(), options);
    EXPECT_EQ(Physical(report), std::vector<uint64_t>(kScattered.begin(), kScattered.begin() + 3));
    EXPECT_TRUE(report.stopped_at_max);
    EXPECT_FALSE(report.complete);
    options.max_matches = 5;
    const SearchReport all = Found(Scattered(), options);
    EXPECT_FALSE(all.stopped_at_max);
    EXPECT_TRUE(all.complete);
  }
}

TEST(Search, TheCallerHasEnough) {
  SearchOptions options = For("secret");
  std::vector<uint64_t> seen;
  options.on_match = [&](const SearchMatch& match) {
    seen.push_back(match.phys.value_or(0));
    return seen.size() < 2;
  };
  const SearchReport report = Found(Scattered(), options);
  EXPECT_EQ(seen, std::vector<uint64_t>(kScattered.begin(), kScattered.begin() + 2));
  EXPECT_EQ(report.matches.size(), 2U);
  EXPECT_FALSE(report.complete);
}

TEST(Search, CancelledKeepsWhatItHas) {
  std::atomic<bool> cancel{true};
  SearchOptions options = For("secret");
  options.cancel = &cancel;
  const SearchReport before = Found(Scattered(), options);
  EXPECT_TRUE(before.cancelled);
  EXPECT_FALSE(before.complete);
  EXPECT_TRUE(before.findings.incomplete);
  EXPECT_EQ(before.searched_bytes, 0U);
  cancel = false;
  options.threads = 1;
  options.on_match = [&](const SearchMatch&) {
    cancel = true;
    return true;
  };
  const SearchReport during = Found(Scattered(), options);
  EXPECT_TRUE(during.cancelled);
  EXPECT_GE(during.matches.size(), 1U);
}

TEST(Search, Ranges) {
  SearchOptions options = For("secret");
  options.range = SearchRange{.at = {.space = Target::Space::kPhysical, .address = kFirst + 1},
                              .bytes = kLarge};
  EXPECT_EQ(Physical(Found(Scattered(), options)),
            std::vector<uint64_t>(kScattered.begin() + 1, kScattered.begin() + 3));
  // A match must begin and end inside.
  options.range->bytes = kSecondCopy + 2 - (kFirst + 1);
  EXPECT_TRUE(Found(Scattered(), options).matches.empty());
  options.range->bytes = kSecondCopy + 3 - (kFirst + 1);
  EXPECT_EQ(Found(Scattered(), options).matches.size(), 1U);
}

TEST(Search, RangesOfKernelAddresses) {
  Core core = Scattered();
  core.Put(kImage + 0x40, "secret");
  SearchOptions options = For("secret");
  options.range =
      SearchRange{.at = {.space = Target::Space::kKernel, .address = kImageBase}, .bytes = 0x9000};
  const SearchReport image = Found(core, options);
  ASSERT_EQ(image.matches.size(), 1U);
  EXPECT_EQ(image.matches[0].at.space, Target::Space::kKernel);
  EXPECT_EQ(image.matches[0].at.address, kImageBase + 0x40);
  EXPECT_EQ(image.matches[0].phys, kImage + 0x40);
  EXPECT_EQ(image.unmapped_bytes, 0x1000U);
  EXPECT_EQ(image.searched_bytes, 0x8000U);
  options.range = SearchRange{
      .at = {.space = Target::Space::kKernel, .address = kDirectMap + kFirst}, .bytes = 0x9000};
  EXPECT_EQ(Physical(Found(core, options)),
            std::vector<uint64_t>(kScattered.begin(), kScattered.begin() + 2));
}

TEST(Search, ContextStopsAtAHole) {
  Core core;
  core.Put(kFirst, "secret at the beginning of RAM");
  SearchOptions options = For("at the");
  options.context_bytes = 10;
  const SearchReport report = Found(core, options);
  ASSERT_EQ(report.matches.size(), 1U);
  const SearchMatch& match = report.matches[0];
  EXPECT_EQ(match.context_address, kFirst);
  EXPECT_EQ(test::ToText(match.context), "secret at the beginning");
  EXPECT_NE(ToText(match, options, {}).find("|secret at the be|"), std::string::npos);
}

TEST(Search, BadOptions) {
  SearchOptions options = For("x");
  options.max_matches = 0;
  EXPECT_EQ(Refused(options).code, ErrorCode::kInvalidArgument);
  options = For("x");
  options.alignment = 3;
  EXPECT_EQ(Refused(options).code, ErrorCode::kInvalidArgument);
  options = For("x");
  options.space = Target::Space::kProcess;
  EXPECT_EQ(Refused(options).code, ErrorCode::kInvalidArgument);
  options = For("phys:0x1000", PatternKind::kWord);
  EXPECT_EQ(Refused(options).code, ErrorCode::kInvalidArgument);
  options = For("(", PatternKind::kRegex);
  EXPECT_EQ(Refused(options).code, ErrorCode::kInvalidArgument);
  const auto refused_range = [](Target::Space space, uint64_t at, uint64_t bytes) {
    SearchOptions ranged = For("x");
    ranged.range = SearchRange{.at = {.space = space, .address = at}, .bytes = bytes};
    return Refused(ranged).code;
  };
  EXPECT_EQ(refused_range(Target::Space::kPhysical, 0, 0), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused_range(Target::Space::kPhysical, 2, ~uint64_t{0}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused_range(Target::Space::kKernel, 1 << 20, uint64_t{1} << 50),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused_range(Target::Space::kPhysical, 0, 0x1000), ErrorCode::kNotFound);
}

TEST(Search, TextIsSafeForATerminal) {
  Core core;
  core.Put(kFirst, "secret\x1b[31m\n\xff");
  const SearchReport report = Found(core, For("secret"));
  ASSERT_EQ(report.matches.size(), 1U);
  const std::string row = ToText(report.matches[0], For("secret"), {});
  EXPECT_NE(row.find("secret.[31m.."), std::string::npos);
  EXPECT_TRUE(std::ranges::all_of(row, [](char c) { return c == '\n' || (c >= ' ' && c < 0x7f); }));
  EXPECT_EQ(ToText(report.matches[0], For("secret"), {.columns = 40}).size(), 41U);
}

TEST(Search, JsonHasItAll) {
  Core core = Scattered();
  SearchOptions options = For("secret\xff?", PatternKind::kText);
  core.Put(kFirst + 0x20, "secret\xff?");
  const auto parsed = nlohmann::json::parse(ToJson(Found(core, options), options));
  EXPECT_EQ(parsed["complete"], true);
  ASSERT_EQ(parsed["matches"].size(), 1U);
  const auto& match = parsed["matches"][0];
  EXPECT_EQ(match["physical"], "0x0000000000100020");
  EXPECT_EQ(match["virtual"], "0xffff888000100020");
  EXPECT_EQ(match["symbol"], nullptr);
  EXPECT_EQ(match["bytes"], "736563726574ff3f");
  EXPECT_EQ(match["length_bytes"], 8);
  EXPECT_EQ(match["text"].get<std::string>().substr(0, 9), "secret.?.");
  EXPECT_EQ(parsed["searched_bytes"], kRamBytes);
  EXPECT_EQ(parsed["holes_bytes"], 0);
  EXPECT_EQ(parsed["incomplete"], false);
}

TEST(Search, ProgressReachesTheCaller) {
  SearchOptions options = For("secret");
  options.on_progress = [&](const SearchProgress& progress) {
    EXPECT_LE(progress.done_bytes, progress.total_bytes);
    EXPECT_EQ(progress.total_bytes, kRamBytes);
  };
  EXPECT_EQ(Found(Scattered(), options).matches.size(), kScattered.size());
}

}  // namespace
}  // namespace kcoredump
