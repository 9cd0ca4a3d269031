// SPDX-License-Identifier: MIT
#include "support/kallsyms_recipe.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <sstream>
#include <stdexcept>

namespace kcoredump::test {

namespace {

/// So much is readable around the tables, as in a kernel.
constexpr uint64_t kMargin = 512 << 10;

uint64_t Hex(const std::string& text) { return std::stoull(text, nullptr, 16); }

RecipeSymbol SymbolOf(std::istringstream& words, const std::string& address) {
  RecipeSymbol symbol;
  std::string sign;
  std::string raw;
  words >> symbol.type >> symbol.name;
  if (words >> sign >> raw) symbol.raw = Hex(raw);
  symbol.address = Hex(address);
  return symbol;
}

void AddFill(std::istringstream& words, KallsymsRecipe& recipe) {
  unsigned count = 0;
  uint64_t step = 0;
  std::string address;
  words >> count >> address >> std::hex >> step;
  const RecipeSymbol first = SymbolOf(words, address);
  for (unsigned i = 0; i < count; ++i) {
    recipe.symbols.push_back(
        {first.address + i * step, first.type, first.name + std::to_string(i), {}});
  }
}

void AddLong(std::istringstream& words, KallsymsRecipe& recipe) {
  unsigned count = 0;
  std::string address;
  words >> count >> address;
  RecipeSymbol symbol = SymbolOf(words, address);
  symbol.name.append(count, 'z');
  recipe.symbols.push_back(symbol);
}

void ParseLine(const std::string& line, KallsymsRecipe& recipe) {
  std::istringstream words(line);
  std::string first;
  std::string value;
  words >> first;
  if (first == "fill") return AddFill(words, recipe);
  if (first == "long") return AddLong(words, recipe);
  if (first.size() == 16) return recipe.symbols.push_back(SymbolOf(words, first));
  words >> value;
  if (first == "layout")
    recipe.layout = value;
  else if (first == "addresses")
    recipe.addresses = value;
  else if (first == "lengths")
    recipe.lengths = static_cast<unsigned>(std::stoul(value));
  else if (first == "markers")
    recipe.markers = static_cast<unsigned>(std::stoul(value));
  else if (first == "align")
    recipe.align = static_cast<unsigned>(std::stoul(value));
  else if (first == "at")
    recipe.at = Hex(value);
  else if (first == "offsets")
    recipe.offsets = Hex(value);
  else if (first == "base")
    recipe.base = Hex(value);
  else if (first == "token")
    words >> recipe.tokens[static_cast<uint8_t>(Hex(value))];
  else
    throw std::runtime_error("no line of a recipe: " + line);
}

/// Lays tables one behind the other and remembers where they are.
class Layouter {
 public:
  explicit Layouter(const KallsymsRecipe& recipe) : recipe_(recipe) {
    for (unsigned code = 0; code < tokens_.size(); ++code) {
      if (code > 0x20 && code < 0x7f) tokens_[code] = std::string(1, static_cast<char>(code));
    }
    for (const auto& [code, text] : recipe.tokens) tokens_[code] = text;
  }

  KallsymsImage Run() {
    image_.begin = (recipe_.at & ~uint64_t{0xfff}) - kMargin;
    image_.bytes.resize(recipe_.at - image_.begin);
    if (recipe_.layout == "before-names") PutAddresses();
    Label("kallsyms_num_syms");
    Put(recipe_.symbols.size(), 4);
    PutNames();
    PutTokens();
    if (recipe_.layout == "after-index") PutAddresses();
    image_.bytes.resize(image_.bytes.size() + kMargin);
    image_.bytes.resize((image_.bytes.size() + 0xfff) & ~size_t{0xfff});
    image_.labels["_stext"] = recipe_.Named("_stext").address;
    return std::move(image_);
  }

 private:
  void Put(uint64_t value, size_t width) {
    for (size_t i = 0; i < width; ++i) {
      image_.bytes.push_back(static_cast<std::byte>(value >> (8 * i) & 0xff));
    }
  }
  uint64_t Here() const { return image_.begin + image_.bytes.size(); }
  void Label(const std::string& name, uint64_t align = 0) {
    if (align == 0) align = recipe_.align;
    while (Here() % align != 0) image_.bytes.push_back(std::byte{0});
    image_.labels[name] = Here();
  }

  /// Greedy: the longest token that fits.
  std::string Codes(std::string_view text) const {
    std::string codes;
    while (!text.empty()) {
      size_t best = tokens_.size();
      for (size_t code = 0; code < tokens_.size(); ++code) {
        if (tokens_[code].empty() || !text.starts_with(tokens_[code])) continue;
        if (best == tokens_.size() || tokens_[code].size() > tokens_[best].size()) best = code;
      }
      if (best == tokens_.size()) throw std::runtime_error("no token for " + std::string(text));
      codes += static_cast<char>(best);
      text.remove_prefix(tokens_[best].size());
    }
    return codes;
  }

  void PutNames() {
    Label("kallsyms_names");
    const uint64_t begin = Here();
    std::vector<uint64_t> markers;
    for (size_t i = 0; i < recipe_.symbols.size(); ++i) {
      if (i % 256 == 0) markers.push_back(Here() - begin);
      const std::string codes = Codes(recipe_.symbols[i].type + recipe_.symbols[i].name);
      const bool two = recipe_.lengths == 2 && codes.size() >= 0x80;
      Put(two ? (codes.size() & 0x7f) | 0x80 : codes.size(), 1);
      if (two) Put(codes.size() >> 7, 1);
      for (const char code : codes) Put(static_cast<uint8_t>(code), 1);
    }
    image_.labels["end of names"] = Here();
    Label("kallsyms_markers");
    for (const uint64_t marker : markers) Put(marker, recipe_.markers);
  }

  void PutTokens() {
    Label("kallsyms_token_table");
    std::vector<uint64_t> starts;
    const uint64_t begin = Here();
    for (const std::string& token : tokens_) {
      starts.push_back(Here() - begin);
      for (const char c : token) Put(static_cast<uint8_t>(c), 1);
      Put(0, 1);
    }
    Label("kallsyms_token_index");
    for (const uint64_t start : starts) Put(start, 2);
  }

  uint64_t Raw(size_t index, uint64_t place) const {
    const uint64_t address = recipe_.symbols[index].address;
    if (recipe_.addresses == "absolute") return address;
    if (recipe_.addresses == "place-relative") return address - place;
    if (recipe_.addresses == "base-relative") return address - recipe_.base;
    return address < recipe_.base ? address : recipe_.base - 1 - address;
  }

  void PutAddresses() {
    const bool whole = recipe_.addresses == "absolute";
    if (recipe_.offsets != 0) {
      if (recipe_.offsets < Here()) throw std::runtime_error("offsets lie before their place");
      image_.bytes.resize(recipe_.offsets - image_.begin);
    }
    const std::string label = whole ? "kallsyms_addresses" : "kallsyms_offsets";
    Label(label);
    for (size_t i = 0; i < recipe_.symbols.size(); ++i) Put(Raw(i, Here()), whole ? 8 : 4);
    if (whole || recipe_.addresses == "place-relative") return;
    Label("kallsyms_relative_base");
    Put(recipe_.base, 8);
  }

  const KallsymsRecipe& recipe_;
  std::array<std::string, 256> tokens_;
  KallsymsImage image_;
};

}  // namespace

KallsymsRecipe KallsymsRecipe::Parse(const std::string& text) {
  KallsymsRecipe recipe;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.front() != '#') ParseLine(line, recipe);
  }
  return recipe;
}

const RecipeSymbol& KallsymsRecipe::Named(const std::string& name) const {
  const auto found = std::find_if(symbols.begin(), symbols.end(),
                                  [&](const RecipeSymbol& symbol) { return symbol.name == name; });
  if (found == symbols.end()) throw std::runtime_error("no symbol " + name);
  return *found;
}

std::string KallsymsImage::Vmcoreinfo(bool with_tables) const {
  std::ostringstream text;
  text << std::hex;
  for (const char* name : {"_stext", "kallsyms_names", "kallsyms_num_syms", "kallsyms_token_table",
                           "kallsyms_token_index", "kallsyms_offsets", "kallsyms_relative_base",
                           "kallsyms_addresses"}) {
    const auto found = labels.find(name);
    if (found == labels.end() || (!with_tables && found->first != "_stext")) continue;
    text << "SYMBOL(" << name << ")=" << found->second << "\n";
  }
  return text.str();
}

KallsymsImage Build(const KallsymsRecipe& recipe) { return Layouter(recipe).Run(); }

}  // namespace kcoredump::test
