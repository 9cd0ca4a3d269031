// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "kcoredump/text.h"
#include "support/files.h"
#include "support/kallsyms_recipe.h"
#include "symbol/kallsyms.h"
#include "symbol/kallsyms_tables.h"

namespace kcoredump {
namespace {

using test::KallsymsImage;
using test::KallsymsRecipe;
using test::RecipeSymbol;

const char* const kRecipes[] = {
    "absolute",      "absolute-4.19",  "absolute-percpu-5.10", "absolute-percpu-6.12",
    "base-relative", "place-relative", "place-relative-7.2"};

KallsymsRecipe RecipeOf(const std::string& name) {
  const auto path = std::filesystem::path(KCOREDUMP_TEST_DATA) / "kallsyms" / name;
  return KallsymsRecipe::Parse(test::ToText(test::ReadFile(path.string())));
}

/// The image's bytes, all else unreadable.
class ImageView : public MemoryView {
 public:
  explicit ImageView(const KallsymsImage& image) : image_(image) {}

  Status Read(uint64_t address, std::span<std::byte> out) override {
    ++reads;
    const uint64_t end = image_.begin + image_.bytes.size();
    if (address < image_.begin || address >= end || out.size() > end - address) {
      Error error = MakeError(ErrorCode::kUnreadable, HexAddress(address) + " is not there");
      error.address = address;
      return error;
    }
    bytes_read += out.size();
    std::memcpy(out.data(), image_.bytes.data() + (address - image_.begin), out.size());
    return {};
  }

  size_t reads = 0;
  uint64_t bytes_read = 0;

 private:
  const KallsymsImage& image_;
};

Result<SymbolTable> Decoded(const KallsymsImage& image, bool with_tables) {
  ImageView view(image);
  const auto info = VmcoreInfo::Parse(image.Vmcoreinfo(with_tables));
  SymbolTable::Builder builder;
  KCD_TRY(DecodeKallsyms(view, info.value(), builder));
  return std::move(builder).Build();
}

std::vector<RecipeSymbol> AllOf(const SymbolTable& table) {
  std::vector<RecipeSymbol> all;
  for (size_t i = 0; i < table.size(); ++i) {
    const Symbol symbol = table.At(i);
    EXPECT_TRUE(symbol.module.empty());
    all.push_back({symbol.address, symbol.type, std::string(symbol.name), {}});
  }
  return all;
}

std::vector<RecipeSymbol> Expected(const KallsymsRecipe& recipe) {
  std::vector<RecipeSymbol> all = recipe.symbols;
  for (RecipeSymbol& symbol : all) symbol.raw.reset();
  std::stable_sort(all.begin(), all.end(), [](const RecipeSymbol& a, const RecipeSymbol& b) {
    return a.address < b.address;
  });
  return all;
}

void ExpectDecodes(const std::string& name, bool with_tables) {
  SCOPED_TRACE(name);
  const KallsymsRecipe recipe = RecipeOf(name);
  const auto table = Decoded(Build(recipe), with_tables);
  ASSERT_TRUE(table.ok()) << table.error().message;
  EXPECT_EQ(AllOf(table.value()), Expected(recipe));
}

/// What a damaged image is answered with.
Error Damaged(const KallsymsImage& image) {
  const auto table = Decoded(image, true);
  EXPECT_FALSE(table.ok());
  return table.ok() ? Error{} : table.error();
}

TEST(KallsymsImage, TheRecipesHaveTheRawNumbersTheyName) {
  size_t named = 0;
  for (const char* name : kRecipes) {
    SCOPED_TRACE(name);
    const KallsymsRecipe recipe = RecipeOf(name);
    KallsymsImage image = Build(recipe);
    const bool whole = recipe.addresses == "absolute";
    const size_t width = whole ? 8 : 4;
    for (size_t i = 0; i < recipe.symbols.size(); ++i) {
      if (!recipe.symbols[i].raw) continue;
      uint64_t raw = 0;
      std::memcpy(&raw, image.At(whole ? "kallsyms_addresses" : "kallsyms_offsets", i * width),
                  width);
      EXPECT_EQ(raw, *recipe.symbols[i].raw) << recipe.symbols[i].name;
      ++named;
    }
  }
  EXPECT_GT(named, 20U);
}

TEST(KallsymsImage, EveryEncodingByVmcoreinfo) {
  for (const char* name : kRecipes) ExpectDecodes(name, true);
}

TEST(KallsymsImage, EveryLayoutByScanning) {
  for (const char* name : {"absolute", "absolute-4.19", "absolute-percpu-5.10", "place-relative"}) {
    ExpectDecodes(name, false);
  }
}

TEST(KallsymsImage, LengthsOfOneAndOfTwoBytesAreToldApart) {
  const KallsymsRecipe one = RecipeOf("absolute");
  KallsymsImage image = Build(one);
  const std::string length_128 = one.Named("length_of_128_" + std::string(113, 'z')).name;
  EXPECT_EQ(length_128.size(), 127U);
  const KallsymsRecipe two = RecipeOf("place-relative-7.2");
  EXPECT_EQ(two.Named("length_127" + std::string(116, 'z')).name.size(), 126U);
  EXPECT_EQ(two.Named("length_128" + std::string(117, 'z')).name.size(), 127U);
  ExpectDecodes("absolute", true);
  ExpectDecodes("place-relative-7.2", true);
}

TEST(KallsymsImage, DecodesWithFewReads) {
  const KallsymsImage image = Build(RecipeOf("absolute-percpu-6.12"));
  ImageView view(image);
  SymbolTable::Builder builder;
  ASSERT_TRUE(
      DecodeKallsyms(view, VmcoreInfo::Parse(image.Vmcoreinfo(true)).value(), builder).ok());
  EXPECT_LT(view.reads, 12U);
}

TEST(KallsymsImage, ScansAnImageWithHoles) {
  // The view has nothing between _stext and the margin before the tables: 2.5 MiB of hole.
  const KallsymsImage image = Build(RecipeOf("absolute-percpu-5.10"));
  ImageView view(image);
  EXPECT_FALSE(view.ReadValue<uint8_t>(image.labels.at("_stext")).ok());
  ExpectDecodes("absolute-percpu-5.10", false);
}

TEST(KallsymsImage, ScanningFindsTokensThatLieAcrossTwoSteps) {
  constexpr std::string_view kDigits("0\0001\0002\000", 6);
  KallsymsRecipe recipe = RecipeOf("absolute");
  const KallsymsImage image = Build(recipe);
  const uint64_t table = image.labels.at("kallsyms_token_table") - image.begin;
  const std::string text = test::ToText(std::span(image.bytes).subspan(table, 2048));
  const uint64_t digits = image.begin + table + text.find(kDigits);
  // Steps end with pages at the latest.
  recipe.at += (test::kPage - digits % test::kPage) / 8 * 8;
  for (const uint64_t back : {0, 8, 16}) {
    recipe.at -= back;
    const auto decoded = Decoded(Build(recipe), false);
    ASSERT_TRUE(decoded.ok()) << back << ": " << decoded.error().message;
    EXPECT_EQ(AllOf(decoded.value()), Expected(recipe));
  }
}

TEST(KallsymsImage, TheEndOfTheImageIsFoundWithFewReads) {
  KallsymsImage image;
  image.labels["_stext"] = 0xffffffff81000000;
  ImageView view(image);
  SymbolTable::Builder builder;
  const auto info = VmcoreInfo::Parse(image.Vmcoreinfo(false));
  EXPECT_EQ(DecodeKallsyms(view, info.value(), builder).error().code, ErrorCode::kNotFound);
  EXPECT_LT(view.reads, 1100U);
}

TEST(KallsymsImage, NothingToFindByScanning) {
  KallsymsImage image = Build(RecipeOf("absolute"));
  std::fill(image.bytes.begin(), image.bytes.end(), std::byte{0});
  const auto table = Decoded(image, false);
  ASSERT_FALSE(table.ok());
  EXPECT_EQ(table.error().code, ErrorCode::kNotFound);
}

TEST(KallsymsImage, MemoryFullOfForgedTokenTablesIsNotEndless) {
  KallsymsImage image = Build(RecipeOf("absolute"));
  constexpr std::string_view kDigits("0\0001\0002\0003\0004\0005\0006\0007\0008\0009\0", 20);
  image.bytes.resize(16 << 20);
  for (size_t i = 0; i < image.bytes.size(); ++i) {
    image.bytes[i] = static_cast<std::byte>(kDigits[i % kDigits.size()]);
  }
  ImageView view(image);
  SymbolTable::Builder builder;
  const auto info = VmcoreInfo::Parse(image.Vmcoreinfo(false));
  const Status status = DecodeKallsyms(view, info.value(), builder);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kNotFound);
  EXPECT_LT(view.bytes_read, 256U << 20);
}

TEST(KallsymsImage, NoStextInVmcoreinfo) {
  const KallsymsImage image = Build(RecipeOf("absolute"));
  ImageView view(image);
  SymbolTable::Builder builder;
  const Status status = DecodeKallsyms(view, VmcoreInfo::Parse("OSRELEASE=6.1\n").value(), builder);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kNotFound);
}

TEST(KallsymsImage, CountOfZero) {
  KallsymsImage image = Build(RecipeOf("place-relative"));
  std::fill_n(image.At("kallsyms_num_syms"), 4, std::byte{0});
  EXPECT_EQ(Damaged(image).code, ErrorCode::kCorrupt);
}

TEST(KallsymsImage, CountBeyondTheNames) {
  for (const int byte : {0x01, 0x10, 0xff}) {
    KallsymsImage image = Build(RecipeOf("place-relative"));
    *image.At("kallsyms_num_syms", 3) = static_cast<std::byte>(byte);
    EXPECT_EQ(Damaged(image).code, ErrorCode::kCorrupt);
  }
}

TEST(KallsymsImage, CountOneOff) {
  for (const int delta : {-1, 1}) {
    KallsymsImage image = Build(RecipeOf("place-relative"));
    std::byte& low = *image.At("kallsyms_num_syms");
    low = static_cast<std::byte>(std::to_integer<int>(low) + delta);
    EXPECT_EQ(Damaged(image).code, ErrorCode::kCorrupt) << delta;
  }
}

TEST(KallsymsImage, NameOfLengthZero) {
  KallsymsImage image = Build(RecipeOf("absolute"));
  *image.At("kallsyms_names") = std::byte{0};
  EXPECT_EQ(Damaged(image).code, ErrorCode::kCorrupt);
}

TEST(KallsymsImage, NameLengthThatRunsOn) {
  KallsymsImage image = Build(RecipeOf("absolute"));
  *image.At("kallsyms_names") = std::byte{0x7f};
  const Error error = Damaged(image);
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_NE(error.message.find("markers"), std::string::npos);
}

TEST(KallsymsImage, MarkerThatDisagrees) {
  KallsymsImage image = Build(RecipeOf("absolute"));
  *image.At("kallsyms_markers", 4) ^= std::byte{1};
  EXPECT_EQ(Damaged(image).code, ErrorCode::kCorrupt);
}

TEST(KallsymsImage, TokenIndexThatDoesNotFit) {
  for (const uint64_t at : {0, 1, 100, 511}) {
    KallsymsImage image = Build(RecipeOf("absolute"));
    *image.At("kallsyms_token_index", at) ^= std::byte{0x40};
    EXPECT_EQ(Damaged(image).code, ErrorCode::kCorrupt) << at;
  }
}

TEST(KallsymsImage, TokensThatUnpackWithoutEnd) {
  KallsymsRecipe recipe = RecipeOf("absolute");
  recipe.tokens[0x10] = std::string(200, 'z');
  recipe.symbols.push_back({0xffffffff81900010, 'T', std::string(1200, 'z'), {}});
  EXPECT_EQ(Damaged(Build(recipe)).code, ErrorCode::kCorrupt);
}

TEST(KallsymsImage, SymbolWithoutAName) {
  KallsymsRecipe recipe = RecipeOf("absolute");
  recipe.symbols.push_back({0xffffffff81900010, 'T', "", {}});
  EXPECT_EQ(Damaged(Build(recipe)).code, ErrorCode::kCorrupt);
}

TEST(KallsymsImage, TablesInAnImpossibleOrder) {
  KallsymsImage image = Build(RecipeOf("absolute"));
  std::swap(image.labels["kallsyms_names"], image.labels["kallsyms_token_table"]);
  EXPECT_EQ(Damaged(image).code, ErrorCode::kCorrupt);
  image = Build(RecipeOf("absolute"));
  image.labels["kallsyms_names"] = 0;  // a forged address must not make us reserve memory
  EXPECT_EQ(Damaged(image).code, ErrorCode::kCorrupt);
}

TEST(KallsymsImage, NoEncodingGivesStext) {
  for (const char* name : kRecipes) {
    KallsymsImage image = Build(RecipeOf(name));
    image.labels["_stext"] += 0x10000;
    const Error error = Damaged(image);
    EXPECT_EQ(error.code, ErrorCode::kCorrupt) << name;
    EXPECT_NE(error.message.find("_stext"), std::string::npos) << name;
  }
}

TEST(KallsymsImage, NoStextAmongTheNames) {
  KallsymsRecipe recipe = RecipeOf("absolute");
  const KallsymsImage before = Build(recipe);
  KallsymsImage image = before;
  // "_stext" is stored as it is written: no token of this recipe is in it.
  const std::string codes = "T_stext";
  const auto* found = static_cast<std::byte*>(
      memmem(image.bytes.data(), image.bytes.size(), codes.data(), codes.size()));
  ASSERT_NE(found, nullptr);
  image.bytes[static_cast<size_t>(found - image.bytes.data()) + 1] = std::byte{'x'};
  const Error error = Damaged(image);
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_NE(error.message.find("no _stext among"), std::string::npos);
}

TEST(KallsymsImage, MissingMemoryIsNamed) {
  KallsymsImage image = Build(RecipeOf("absolute"));
  image.bytes.resize(image.labels.at("kallsyms_markers") - image.begin);
  EXPECT_EQ(Damaged(image).code, ErrorCode::kUnreadable);
}

TEST(KallsymsImage, RandomDamageNeverCrashes) {
  test::Random random(7);
  size_t refused = 0;
  for (const char* name : kRecipes) {
    const KallsymsImage whole = Build(RecipeOf(name));
    const uint64_t begin = whole.labels.at("kallsyms_num_syms") - whole.begin;
    const uint64_t end = whole.labels.at("kallsyms_token_index") - whole.begin + kTokenIndexBytes;
    for (int round = 0; round < 150; ++round) {
      KallsymsImage image = whole;
      for (uint64_t flips = 1 + random.Below(4); flips > 0; --flips) {
        image.bytes[begin + random.Below(end - begin)] = static_cast<std::byte>(random.Next());
      }
      refused += Decoded(image, true).ok() ? 0 : 1;
    }
    for (int round = 0; round < 4; ++round) {
      KallsymsImage image = whole;
      image.bytes[begin + random.Below(end - begin)] = static_cast<std::byte>(random.Next());
      refused += Decoded(image, false).ok() ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 100U);
}

}  // namespace
}  // namespace kcoredump
