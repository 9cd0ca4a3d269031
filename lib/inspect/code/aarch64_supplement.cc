// SPDX-License-Identifier: MIT
#include "inspect/code/aarch64_supplement.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr uint32_t kZeroRegister = 31;

constexpr uint32_t Bits(uint32_t word, unsigned low, unsigned count) {
  return word >> low & ((uint32_t{1} << count) - 1);
}

struct Hint {
  uint32_t number;
  std::string_view name;
  std::string_view operands = {};
};
constexpr std::array kHints = {
    Hint{6, "dgh"},           Hint{7, "xpaclri"},    Hint{8, "pacia1716"}, Hint{10, "pacib1716"},
    Hint{12, "autia1716"},    Hint{14, "autib1716"}, Hint{16, "esb"},      Hint{17, "psb", "csync"},
    Hint{18, "tsb", "csync"}, Hint{20, "csdb"},      Hint{24, "paciaz"},   Hint{25, "paciasp"},
    Hint{26, "pacibz"},       Hint{27, "pacibsp"},   Hint{28, "autiaz"},   Hint{29, "autiasp"},
    Hint{30, "autibz"},       Hint{31, "autibsp"},   Hint{32, "bti"},      Hint{34, "bti", "c"},
    Hint{36, "bti", "j"},     Hint{38, "bti", "jc"},
};

std::string Register(uint32_t number, bool wide) {
  if (number == kZeroRegister) return wide ? "xzr" : "wzr";
  return (wide ? "x" : "w") + std::to_string(number);
}

std::string Base(uint32_t word) {
  const uint32_t base = Bits(word, 5, 5);
  return "[" + (base == kZeroRegister ? "sp" : Register(base, true)) + "]";
}

/// The letters behind an atomic's name: acquire, release, byte or half-word.
std::string Suffix(bool acquire, bool release, uint32_t size) {
  std::string text = acquire ? "a" : "";
  if (release) text += 'l';
  if (size == 0) text += 'b';
  if (size == 1) text += 'h';
  return text;
}

/// ldadd and its kin, swp. As stores (stadd) where nobody wants the old value.
std::optional<Aarch64Instruction> Atomic(uint32_t word) {
  static constexpr std::array<std::string_view, 8> kNames = {"add",  "clr",  "eor",  "set",
                                                             "smax", "smin", "umax", "umin"};
  if ((word & 0x3f200c00) != 0x38200000) return std::nullopt;
  const uint32_t size = Bits(word, 30, 2);
  const bool acquire = Bits(word, 23, 1) != 0;
  const bool release = Bits(word, 22, 1) != 0;
  const uint32_t operation = Bits(word, 12, 3);
  const bool swap = Bits(word, 15, 1) != 0;
  if (swap && operation != 0) return std::nullopt;  // ldapr and others
  const uint32_t target = Bits(word, 0, 5);
  const bool store = !swap && !acquire && target == kZeroRegister;
  Aarch64Instruction out;
  out.mnemonic = swap ? "swp" : (store ? "st" : "ld") + std::string(kNames[operation]);
  out.mnemonic += Suffix(acquire, release, size);
  out.operands = Register(Bits(word, 16, 5), size == 3) + ", ";
  if (!store) out.operands += Register(target, size == 3) + ", ";
  out.operands += Base(word);
  out.writes_register = !store;
  return out;
}

std::optional<Aarch64Instruction> CompareAndSwap(uint32_t word) {
  if ((word & 0x3fa07c00) != 0x08a07c00) return std::nullopt;
  const uint32_t size = Bits(word, 30, 2);
  const bool wide = size == 3;
  return Aarch64Instruction{
      .mnemonic = "cas" + Suffix(Bits(word, 22, 1) != 0, Bits(word, 15, 1) != 0, size),
      .operands = Register(Bits(word, 16, 5), wide) + ", " + Register(Bits(word, 0, 5), wide) +
                  ", " + Base(word),
      .writes_register = true};
}

/// Of two registers each; an odd one is not allocated.
std::optional<Aarch64Instruction> CompareAndSwapPair(uint32_t word) {
  const uint32_t first = Bits(word, 16, 5);
  const uint32_t second = Bits(word, 0, 5);
  if ((word & 0xbfa07c00) != 0x08207c00 || first % 2 != 0 || second % 2 != 0) return std::nullopt;
  const bool wide = Bits(word, 30, 1) != 0;
  const auto pair = [wide](uint32_t number) {
    return Register(number, wide) + ", " + Register(number + 1, wide) + ", ";
  };
  return Aarch64Instruction{
      .mnemonic = "casp" + Suffix(Bits(word, 22, 1) != 0, Bits(word, 15, 1) != 0, 3),
      .operands = pair(first) + pair(second) + Base(word),
      .writes_register = true};
}

}  // namespace

std::optional<Aarch64Instruction> FindAarch64Supplement(uint32_t word) {
  if (word >> 16 == 0) return Aarch64Instruction{.mnemonic = "udf", .operands = "#" + Hex(word)};
  if (word == 0xd50330ff) return Aarch64Instruction{.mnemonic = "sb", .operands = {}};
  if ((word & 0xfffff01f) == 0xd503201f) {
    const auto hint = std::find_if(kHints.begin(), kHints.end(), [&](const Hint& candidate) {
      return candidate.number == Bits(word, 5, 7);
    });
    if (hint == kHints.end()) return std::nullopt;  // Capstone knows the oldest
    return Aarch64Instruction{.mnemonic = std::string(hint->name),
                              .operands = std::string(hint->operands)};
  }
  if (auto atomic = Atomic(word)) return atomic;
  if (auto swap = CompareAndSwap(word)) return swap;
  return CompareAndSwapPair(word);
}

}  // namespace kcoredump
