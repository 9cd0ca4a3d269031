// SPDX-License-Identifier: MIT
//
// A kernel of a few structs, their types said in a line each, in a FakeView.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "inspect/task/tasks.h"
#include "support/btf_builder.h"
#include "support/fake_view.h"

namespace kcoredump::test {

/// A member, in bytes; `type` is that of a struct described before, "()" for a pointer to a
/// function, or empty: a number, or an array of bytes.
struct FakeMember {
  std::string_view name;
  uint32_t offset = 0;
  uint32_t bytes = 8;
  std::string_view type{};
};

class FakeKernel {
 public:
  FakeKernel() {
    for (const uint32_t bytes : {1, 2, 4, 8}) {
      numbers_[bytes] = btf_.AddInt("u" + std::to_string(bytes * 8), bytes);
    }
    structs_["()"] = btf_.AddPointer(btf_.AddFunction());
  }

  void Struct(const std::string& name, uint32_t bytes, const std::vector<FakeMember>& members) {
    std::vector<BtfMember> all;
    for (const FakeMember& member : members) {
      const auto type = structs_.find(std::string(member.type));
      all.push_back({.name = member.name,
                     .type = type != structs_.end() ? type->second : NumberOf(member.bytes),
                     .bit_offset = member.offset * 8});
    }
    structs_[name] = btf_.AddStruct(name, bytes, all);
  }
  void Symbol(const std::string& name, uint64_t address) { symbols_[name] = address; }

  /// Zeros, of which members are then set.
  void Zero(uint64_t address, size_t bytes) { memory.Put(address, std::string(bytes, '\0')); }
  void Word(uint64_t address, uint64_t value) { memory.PutValue<uint64_t>(address, value); }

  /// After the last Struct().
  [[nodiscard]] const TypeCatalog& types() {
    if (types_ == nullptr) {
      blob_ = btf_.Build();
      auto loaded = TypeCatalog::Load(blob_, {});
      EXPECT_TRUE(loaded.ok());
      types_ = std::move(loaded.value());
    }
    return *types_;
  }
  [[nodiscard]] SymbolLookup symbols() {
    return [this](std::string_view name) -> std::optional<uint64_t> {
      const auto found = symbols_.find(std::string(name));
      return found == symbols_.end() ? std::nullopt : std::optional(found->second);
    };
  }
  [[nodiscard]] TaskSources sources() {
    return {.kernel = memory, .types = types(), .symbol = symbols(), .process_space = {}};
  }

  FakeView memory;

 private:
  uint32_t NumberOf(uint32_t bytes) {
    const auto known = numbers_.find(bytes);
    if (known != numbers_.end()) return known->second;
    const uint32_t array =
        bytes % 8 == 0 ? btf_.AddArray(numbers_[8], bytes / 8) : btf_.AddArray(numbers_[1], bytes);
    return numbers_[bytes] = array;
  }

  BtfBuilder btf_;
  Bytes blob_;
  std::map<uint32_t, uint32_t> numbers_;  ///< types by bytes
  std::map<std::string, uint32_t> structs_;
  std::map<std::string, uint64_t> symbols_;
  std::unique_ptr<TypeCatalog> types_;
};

}  // namespace kcoredump::test
