// SPDX-License-Identifier: MIT
#include "inspect/isf_types.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

/// Pointers to pointers and arrays of arrays nest a few deep in Linux; forged ones without end.
constexpr unsigned kMaxNesting = 16;

ordered_json BaseType(uint64_t bytes, bool is_signed, std::string_view kind) {
  return {{"size", bytes}, {"signed", is_signed}, {"kind", kind}, {"endian", "little"}};
}

const ordered_json kVoid = {{"kind", "base"}, {"name", "void"}};

}  // namespace

IsfTypes::IsfTypes(const TypeCatalog& types)
    : types_(types),
      base_types_({{"void", BaseType(0, false, "void")}, {"pointer", BaseType(8, false, "int")}}) {}

std::string IsfTypes::KeyOf(TypeRef type) const {
  const auto resolved = types_.Resolved(type);
  if (!resolved.ok()) return "void";
  const std::string name(types_.BareNameOf(resolved.value()));
  if (!name.empty()) return name;
  return "unnamed_" + std::to_string(resolved.value().unit) + "_" +
         std::to_string(resolved.value().id);
}

void IsfTypes::Want(TypeRef type) {
  if (const auto resolved = types_.Resolved(type); resolved.ok()) {
    if (wanted_.insert(KeyOf(type)).second) queue_.push_back(resolved.value());
  }
}

TypeRef IsfTypes::TakeNext() {
  if (queue_.empty()) return {};
  const TypeRef next = queue_.front();
  queue_.pop_front();
  return next;
}

ordered_json IsfTypes::Base(TypeRef type) {
  const std::string name = KeyOf(type);
  if (!base_types_.contains(name)) {
    const NumberFormat number = types_.NumberOf(type);
    const bool is_float = types_.KindOf(type) == TypeKind::kFloat;
    const auto size = types_.SizeOf(type);
    base_types_[name] = BaseType(size.ok() ? size.value() : 0, number.is_signed,
                                 is_float         ? "float"
                                 : number.is_bool ? "bool"
                                 : number.is_char ? "char"
                                                  : "int");
  }
  return {{"kind", "base"}, {"name", name}};
}

ordered_json IsfTypes::Named(TypeRef type, std::string_view kind) {
  Want(type);
  return {{"kind", kind}, {"name", KeyOf(type)}};
}

/// From the inside out, in a loop: what is forged may nest without end.
ordered_json IsfTypes::Describe(TypeRef type) {
  std::vector<ordered_json> shells;
  for (; shells.size() < kMaxNesting;) {
    const TypeKind kind = types_.KindOf(type);
    if (kind == TypeKind::kPointer) {
      shells.push_back({{"kind", "pointer"}});
      type = types_.Pointee(type);
    } else if (kind == TypeKind::kArray) {
      shells.push_back({{"kind", "array"}, {"count", types_.Count(type)}});
      type = types_.Element(type);
    } else {
      break;
    }
  }
  ordered_json text = kVoid;
  switch (types_.KindOf(type)) {
    case TypeKind::kInteger:
    case TypeKind::kFloat:
      text = Base(type);
      break;
    case TypeKind::kStruct:
      text = Named(type, "struct");
      break;
    case TypeKind::kUnion:
      text = Named(type, "union");
      break;
    case TypeKind::kEnum:
      text = Named(type, "enum");
      break;
    case TypeKind::kFunction:
      text = {{"kind", "function"}};
      break;
    case TypeKind::kForward:
      // Declared here, defined elsewhere, or nowhere in this kernel.
      if (const auto whole = types_.Find("struct " + KeyOf(type)); whole.ok()) {
        text = Named(whole.value(), "struct");
      }
      break;
    default:
      break;
  }
  for (auto shell = shells.rbegin(); shell != shells.rend(); ++shell) {
    (*shell)["subtype"] = std::move(text);
    text = std::move(*shell);
  }
  return text;
}

/// A bitfield stands in a unit of its type's size, which begins at a multiple of that size.
ordered_json IsfTypes::Field(const MemberEntry& member) {
  ordered_json type = Describe(member.type);
  if (member.bitfield_bits == 0) return {{"type", type}, {"offset", member.bit_offset / 8}};
  const auto size = types_.SizeOf(member.type);
  const uint64_t unit_bits = 8 * std::max<uint64_t>(size.ok() ? size.value() : 1, 1);
  const uint64_t unit = member.bit_offset / unit_bits * unit_bits;
  return {{"type",
           {{"kind", "bitfield"},
            {"bit_position", member.bit_offset - unit},
            {"bit_length", member.bitfield_bits},
            {"type", type}}},
          {"offset", unit / 8}};
}

ordered_json IsfTypes::UserType(TypeRef type) {
  ordered_json fields = ordered_json::object();
  unsigned unnamed = 0;
  for (const MemberEntry& member : types_.MembersOf(type)) {
    ordered_json field = Field(member);
    std::string name(member.name);
    if (name.empty()) {
      // Padding is not a member that anybody could name.
      if (member.bitfield_bits != 0) continue;
      name = "unnamed_field_" + std::to_string(unnamed++);
      field["anonymous"] = true;
    }
    fields[name] = std::move(field);
  }
  const auto size = types_.SizeOf(type);
  return {{"kind", types_.KindOf(type) == TypeKind::kUnion ? "union" : "struct"},
          {"size", size.ok() ? size.value() : 0},
          {"fields", std::move(fields)}};
}

ordered_json IsfTypes::Enum(TypeRef type) const {
  ordered_json constants = ordered_json::object();
  for (const auto& [name, value] : types_.EnumeratorsOf(type)) {
    constants[std::string(name)] = value;
  }
  const auto size = types_.SizeOf(type);
  const uint64_t bytes = size.ok() ? size.value() : 4;
  const bool is_signed = types_.NumberOf(type).is_signed;
  const std::string base = bytes == 8   ? (is_signed ? "long int" : "long unsigned int")
                           : bytes == 1 ? (is_signed ? "signed char" : "unsigned char")
                           : bytes == 2 ? (is_signed ? "short int" : "short unsigned int")
                                        : (is_signed ? "int" : "unsigned int");
  return {{"size", bytes}, {"base", base}, {"constants", std::move(constants)}};
}

}  // namespace kcoredump
