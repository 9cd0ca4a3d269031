// SPDX-License-Identifier: MIT
//
// Recipes of kernel symbol tables (tests/data/kallsyms/README.md) and the bytes they stand for.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "support/test_bytes.h"

namespace kcoredump::test {

struct RecipeSymbol {
  uint64_t address = 0;
  char type = 'T';
  std::string name;
  std::optional<uint64_t> raw;  ///< the number that must stand for the address

  bool operator==(const RecipeSymbol&) const = default;
};

struct KallsymsRecipe {
  std::string layout;
  std::string addresses;
  unsigned lengths = 1;
  unsigned markers = 4;
  unsigned align = 8;
  uint64_t at = 0;
  uint64_t offsets = 0;  ///< 0: beside the other tables
  uint64_t base = 0;
  std::map<uint8_t, std::string> tokens;
  std::vector<RecipeSymbol> symbols;

  /// Throws std::runtime_error for a line that is none.
  static KallsymsRecipe Parse(const std::string& text);
  [[nodiscard]] const RecipeSymbol& Named(const std::string& name) const;
};

/// Tables as scripts/kallsyms.c lays them out, by a second hand: nothing of lib/ is used.
struct KallsymsImage {
  uint64_t begin = 0;                      ///< the address of the first of `bytes`
  Bytes bytes;                             ///< zeros before and after the tables
  std::map<std::string, uint64_t> labels;  ///< "kallsyms_names", … and "kallsyms_markers", "_stext"

  [[nodiscard]] std::byte* At(const std::string& label, uint64_t offset = 0) {
    return bytes.data() + (labels.at(label) - begin) + offset;
  }
  /// VMCOREINFO as a kernel from 6.0 writes it; before, of `_stext` alone.
  [[nodiscard]] std::string Vmcoreinfo(bool with_tables) const;
};
[[nodiscard]] KallsymsImage Build(const KallsymsRecipe& recipe);

}  // namespace kcoredump::test
