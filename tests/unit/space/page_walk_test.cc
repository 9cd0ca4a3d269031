// SPDX-License-Identifier: MIT
#include "space/page_walk.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "support/fake_view.h"

namespace kcoredump {
namespace {

/// One file of tests/data/page-tables; the README there tells the grammar.
class Recipe {
 public:
  explicit Recipe(const std::string& name) {
    std::ifstream file(std::filesystem::path(KCOREDUMP_TEST_DATA) / "page-tables" / name);
    EXPECT_TRUE(file.good()) << name;
    for (std::string line; std::getline(file, line);) {
      const std::string content = line.substr(0, line.find('#'));
      if (content.find_first_not_of(' ') != std::string::npos) Take(content);
    }
    auto info = VmcoreInfo::Parse(vmcoreinfo_);
    auto paging = kX8664.PagingOf(info.value());
    EXPECT_TRUE(paging.ok());
    paging_ = paging.value();
  }

  /// Every expectation of the file; how many there were.
  size_t Check() {
    for (const std::string& line : expectations_) Expect(line);
    return expectations_.size();
  }

 private:
  static uint64_t Number(const std::string& text) { return std::stoull(text, nullptr, 0); }

  void Take(const std::string& line) {
    std::istringstream words(line);
    std::string verb, first, second;
    words >> verb >> first >> second;
    if (verb == "vmcoreinfo") {
      vmcoreinfo_ += first + "\n";
    } else if (verb == "root") {
      root_.value = Number(first);
    } else if (verb == "entry") {
      // Tables are whole pages: what no line sets is zero.
      const uint64_t page = Number(first) & ~uint64_t{0xfff};
      if (pages_.insert(page).second) {
        memory_.Put(page, std::vector<std::byte>(4096));
      }
      memory_.PutValue<uint64_t>(Number(first), Number(second));
    } else {
      expectations_.push_back(line);
    }
  }

  void Expect(const std::string& line) {
    SCOPED_TRACE(line);
    std::istringstream words(line);
    std::string verb, virt, first;
    words >> verb >> virt >> first;
    // Each page that an entry stands in is there, but tables must begin at pages of zeros.
    const auto walk = WalkPageTables(memory_, kX8664, paging_, root_, VirtAddr{Number(virt)});
    if (verb == "error") return ExpectError(walk, first, words);
    ASSERT_TRUE(walk.ok()) << walk.error().message;
    if (verb == "absent") {
      EXPECT_FALSE(walk.value().phys);
      EXPECT_EQ(walk.value().steps.back().level, first);
      return;
    }
    ASSERT_EQ(verb, "walk");
    ASSERT_TRUE(walk.value().phys);
    EXPECT_EQ(walk.value().phys->value, Number(first));
    std::string word;
    words >> word;
    EXPECT_EQ(walk.value().page_bytes, Number(word));
    for (size_t level = 0; words >> word; ++level) {
      ASSERT_LT(level, walk.value().steps.size());
      const WalkStep& step = walk.value().steps[level];
      EXPECT_EQ(word.substr(0, word.find('=')), step.level);
      EXPECT_EQ(Number(word.substr(word.find('=') + 1)), step.entry);
    }
  }

  static void ExpectError(const Result<PageWalk>& walk, const std::string& code,
                          std::istringstream& words) {
    ASSERT_FALSE(walk.ok());
    const ErrorCode wanted = code == "corrupt"      ? ErrorCode::kCorrupt
                             : code == "unreadable" ? ErrorCode::kUnreadable
                                                    : ErrorCode::kInvalidArgument;
    EXPECT_EQ(walk.error().code, wanted) << walk.error().message;
    std::string text;
    std::getline(words >> std::ws, text);
    text.erase(text.find_last_not_of(' ') + 1);
    EXPECT_NE(walk.error().message.find(text), std::string::npos) << walk.error().message;
  }

  test::FakeView memory_;
  std::set<uint64_t> pages_;
  std::string vmcoreinfo_;
  Paging paging_;
  PhysAddr root_;
  std::vector<std::string> expectations_;
};

TEST(PageWalk, FourLevels) { EXPECT_GT(Recipe("x86_64-4-levels.txt").Check(), 10u); }
TEST(PageWalk, FiveLevels) { EXPECT_GT(Recipe("x86_64-5-levels.txt").Check(), 7u); }
TEST(PageWalk, EncryptionBitIsNoAddress) { EXPECT_GT(Recipe("x86_64-encrypted.txt").Check(), 2u); }
TEST(PageWalk, ForgedTables) { EXPECT_GT(Recipe("x86_64-forged.txt").Check(), 3u); }

TEST(PageWalk, EveryArchitectureIsFoundByItsMachine) {
  EXPECT_EQ(FindArchitecture(EM_X86_64), &kX8664);
  EXPECT_EQ(FindArchitecture(EM_386), nullptr);
}

TEST(PageWalk, FlagsBearTheFieldsNames) {
  const auto info = VmcoreInfo::Parse("");
  const auto paging = kX8664.PagingOf(info.value());
  using Names = std::vector<std::string_view>;
  EXPECT_EQ(kX8664.EntryFlags(paging.value(), 3, 0x8000000000000163),
            (Names{"PRESENT", "RW", "ACCESSED", "DIRTY", "GLOBAL", "NX"}));
  EXPECT_EQ(kX8664.EntryFlags(paging.value(), 2, 0xe7),
            (Names{"PRESENT", "RW", "USER", "ACCESSED", "DIRTY", "PSE"}));
  EXPECT_EQ(kX8664.EntryFlags(paging.value(), 3, 0x100), (Names{"PROTNONE"}));
  EXPECT_EQ(kX8664.EntryFlags(paging.value(), 3, 0), Names{});
}

}  // namespace
}  // namespace kcoredump
