// SPDX-License-Identifier: MIT
//
// BTF type by type, without libbpf: every field can be forged. Each Add… gives the new type's id.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/test_bytes.h"

namespace kcoredump::test {

/// A member by the bits from the beginning of its struct; `bits` for a bitfield.
struct BtfMember {
  std::string_view name;
  uint32_t type = 0;
  uint32_t bit_offset = 0;
  uint32_t bits = 0;
};

struct BtfEnumerator {
  std::string_view name;
  int32_t value = 0;
};

class BtfBuilder {
 public:
  BtfBuilder() : strings_(1, '\0') {}
  /// Split BTF: ids and names go on from those of `base`, which must be whole.
  explicit BtfBuilder(const BtfBuilder& base)
      : count_(base.count_), base_strings_(static_cast<uint32_t>(base.strings_.size())) {}

  /// `encoding`: 1 signed, 2 char, 4 bool.
  uint32_t AddInt(std::string_view name, uint32_t bytes, uint32_t encoding = 0);
  uint32_t AddFloat(std::string_view name, uint32_t bytes);
  uint32_t AddPointer(uint32_t to);
  uint32_t AddConst(uint32_t to);
  uint32_t AddTypedef(std::string_view name, uint32_t to);
  uint32_t AddArray(uint32_t element, uint32_t count);
  uint32_t AddStruct(std::string_view name, uint32_t bytes, const std::vector<BtfMember>& members);
  uint32_t AddUnion(std::string_view name, uint32_t bytes, const std::vector<BtfMember>& members);
  uint32_t AddEnum(std::string_view name, const std::vector<BtfEnumerator>& values,
                   bool is_signed = false);
  uint32_t AddForward(std::string_view name);
  uint32_t AddFunction();  ///< void (void)
  uint32_t AddVariable(std::string_view name, uint32_t type);
  uint32_t AddSection(std::string_view name, const std::vector<uint32_t>& variables);
  /// The id that the next type will have: for types that refer to those behind them.
  [[nodiscard]] uint32_t next() const { return count_; }

  [[nodiscard]] Bytes Build() const;

 private:
  uint32_t Add(std::string_view name, uint32_t kind, uint32_t items, bool flag,
               uint32_t size_or_type);
  uint32_t AddComposite(uint32_t kind, std::string_view name, uint32_t bytes,
                        const std::vector<BtfMember>& members);
  uint32_t Name(std::string_view name);
  void Word(uint32_t word);

  Bytes types_;
  std::string strings_;
  uint32_t count_ = 1;
  uint32_t base_strings_ = 0;
};

}  // namespace kcoredump::test
