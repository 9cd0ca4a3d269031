// SPDX-License-Identifier: MIT
#include "support/btf_builder.h"

#include <algorithm>

namespace kcoredump::test {

namespace {

/// BTF_KIND_… (kernel: include/uapi/linux/btf.h).
enum Kind : uint32_t {
  kInt = 1,
  kPointer = 2,
  kArray = 3,
  kStruct = 4,
  kUnion = 5,
  kEnum = 6,
  kForward = 7,
  kTypedef = 8,
  kConst = 10,
  kFunctionPrototype = 13,
  kVariable = 14,
  kSection = 15,
  kFloat = 16,
};

}  // namespace

void BtfBuilder::Word(uint32_t word) { AppendValue(types_, word); }

uint32_t BtfBuilder::Name(std::string_view name) {
  if (name.empty()) return 0;
  const auto at = static_cast<uint32_t>(strings_.size());
  strings_.append(name).push_back('\0');
  return base_strings_ + at;
}

uint32_t BtfBuilder::Add(std::string_view name, uint32_t kind, uint32_t items, bool flag,
                         uint32_t size_or_type) {
  Word(Name(name));
  Word(kind << 24 | items | (flag ? uint32_t{1} << 31 : 0));
  Word(size_or_type);
  return count_++;
}

uint32_t BtfBuilder::AddInt(std::string_view name, uint32_t bytes, uint32_t encoding) {
  const uint32_t id = Add(name, kInt, 0, false, bytes);
  Word(encoding << 24 | std::min<uint32_t>(bytes * 8, 255));
  return id;
}

uint32_t BtfBuilder::AddFloat(std::string_view name, uint32_t bytes) {
  return Add(name, kFloat, 0, false, bytes);
}

uint32_t BtfBuilder::AddPointer(uint32_t to) { return Add({}, kPointer, 0, false, to); }

uint32_t BtfBuilder::AddConst(uint32_t to) { return Add({}, kConst, 0, false, to); }

uint32_t BtfBuilder::AddTypedef(std::string_view name, uint32_t to) {
  return Add(name, kTypedef, 0, false, to);
}

uint32_t BtfBuilder::AddArray(uint32_t element, uint32_t count) {
  const uint32_t id = Add({}, kArray, 0, false, 0);
  Word(element);
  Word(element);  // the index: any type
  Word(count);
  return id;
}

uint32_t BtfBuilder::AddComposite(uint32_t kind, std::string_view name, uint32_t bytes,
                                  const std::vector<BtfMember>& members) {
  const bool bitfields =
      std::any_of(members.begin(), members.end(), [](const BtfMember& m) { return m.bits != 0; });
  const uint32_t id = Add(name, kind, static_cast<uint32_t>(members.size()), bitfields, bytes);
  for (const BtfMember& member : members) {
    Word(Name(member.name));
    Word(member.type);
    Word(member.bits << 24 | member.bit_offset);
  }
  return id;
}

uint32_t BtfBuilder::AddStruct(std::string_view name, uint32_t bytes,
                               const std::vector<BtfMember>& members) {
  return AddComposite(kStruct, name, bytes, members);
}

uint32_t BtfBuilder::AddUnion(std::string_view name, uint32_t bytes,
                              const std::vector<BtfMember>& members) {
  return AddComposite(kUnion, name, bytes, members);
}

uint32_t BtfBuilder::AddEnum(std::string_view name, const std::vector<BtfEnumerator>& values,
                             bool is_signed) {
  const uint32_t id = Add(name, kEnum, static_cast<uint32_t>(values.size()), is_signed, 4);
  for (const BtfEnumerator& value : values) {
    Word(Name(value.name));
    Word(static_cast<uint32_t>(value.value));
  }
  return id;
}

uint32_t BtfBuilder::AddForward(std::string_view name) { return Add(name, kForward, 0, false, 0); }

uint32_t BtfBuilder::AddFunction() { return Add({}, kFunctionPrototype, 0, false, 0); }

uint32_t BtfBuilder::AddVariable(std::string_view name, uint32_t type) {
  const uint32_t id = Add(name, kVariable, 0, false, type);
  Word(1);  // global
  return id;
}

uint32_t BtfBuilder::AddSection(std::string_view name, const std::vector<uint32_t>& variables) {
  const auto count = static_cast<uint32_t>(variables.size());
  const uint32_t id = Add(name, kSection, count, false, 8 * count);
  for (uint32_t i = 0; i < count; ++i) {
    Word(variables[i]);
    Word(8 * i);
    Word(8);
  }
  return id;
}

Bytes BtfBuilder::Build() const {
  const auto types = static_cast<uint32_t>(types_.size());
  const auto strings = static_cast<uint32_t>(strings_.size());
  // Magic, version 1, flags 0; then the header's length, and both sections by offset and length.
  const uint32_t header[] = {0x0001eb9f, 24, 0, types, types, strings};
  Bytes bytes;
  Append(bytes, std::as_bytes(std::span(header)));
  Append(bytes, types_);
  Append(bytes, std::as_bytes(std::span(strings_)));
  return bytes;
}

}  // namespace kcoredump::test
