// SPDX-License-Identifier: MIT
#include "inspect/value/isf_types.h"

namespace kcoredump {

namespace {

using nlohmann::json;

/// Pointers to pointers and arrays of arrays nest a few deep in Linux; forged ones without end.
constexpr unsigned kMaxNesting = 16;

json BaseType(uint64_t bytes, bool is_signed, std::string_view kind) {
  return {{"size", bytes}, {"signed", is_signed}, {"kind", kind}, {"endian", "little"}};
}

/// What DWARF, and with it dwarf2json, counts as characters.
bool IsCharacter(std::string_view name) {
  return name == "char" || name == "signed char" || name == "unsigned char";
}

const json kVoid = {{"kind", "base"}, {"name", "void"}};

}  // namespace

IsfTypes::IsfTypes(const TypeCatalog& types)
    : types_(types),
      base_types_({{"void", BaseType(0, false, "void")}, {"pointer", BaseType(8, false, "int")}}) {
  for (const TypeRef type : types.Named()) {
    const auto resolved = types.Resolved(type);
    if (!resolved.ok() || resolved.value() != type) continue;  // a typedef
    (types.KindOf(type) == TypeKind::kEnum ? enums_ : composites_)
        .emplace(types.BareNameOf(type), type);
  }
}

std::string IsfTypes::KeyOf(TypeRef type) const {
  const auto resolved = types_.Resolved(type);
  if (!resolved.ok()) return "void";
  const TypeRef ref = resolved.value();
  std::string name(types_.BareNameOf(ref));
  const FirstOfName& firsts = types_.KindOf(ref) == TypeKind::kEnum ? enums_ : composites_;
  const auto first = firsts.find(name);
  // Files of the kernel have structs of their own that are called alike.
  if (!name.empty() && (first == firsts.end() || first->second == ref)) return name;
  return (name.empty() ? "unnamed" : name) + "_" + std::to_string(ref.unit) + "_" +
         std::to_string(ref.id);
}

void IsfTypes::Want(TypeRef type) {
  const auto resolved = types_.Resolved(type);
  if (resolved.ok() && wanted_.insert(resolved.value().id).second) {
    queue_.push_back(resolved.value());
  }
}

TypeRef IsfTypes::TakeNext() {
  if (queue_.empty()) return {};
  const TypeRef next = queue_.front();
  queue_.pop_front();
  return next;
}

json IsfTypes::Base(TypeRef type) {
  const std::string name = KeyOf(type);
  if (!base_types_.contains(name)) {
    const NumberFormat number = types_.NumberOf(type);
    const bool is_float = types_.KindOf(type) == TypeKind::kFloat;
    const auto size = types_.SizeOf(type);
    const std::string_view kind = is_float            ? "float"
                                  : number.is_bool    ? "bool"
                                  : IsCharacter(name) ? "char"
                                                      : "int";
    base_types_[name] = BaseType(size.ok() ? size.value() : 0, number.is_signed, kind);
  }
  return {{"kind", "base"}, {"name", name}};
}

json IsfTypes::Named(TypeRef type, std::string_view kind) {
  Want(type);
  return {{"kind", kind}, {"name", KeyOf(type)}};
}

/// What is no pointer and no array.
json IsfTypes::Innermost(TypeRef type) {
  switch (types_.KindOf(type)) {
    case TypeKind::kInteger:
    case TypeKind::kFloat:
      return Base(type);
    case TypeKind::kStruct:
      return Named(type, "struct");
    case TypeKind::kUnion:
      return Named(type, "union");
    case TypeKind::kEnum:
      return Named(type, "enum");
    case TypeKind::kFunction:
      return {{"kind", "function"}};
    case TypeKind::kForward:
      // Declared here, defined elsewhere, or nowhere in this kernel.
      if (const auto resolved = types_.Resolved(type); resolved.ok()) {
        const auto whole = composites_.find(types_.BareNameOf(resolved.value()));
        if (whole != composites_.end()) return Innermost(whole->second);
      }
      return kVoid;
    default:
      return kVoid;
  }
}

/// From the inside out, in a loop: what is forged may nest without end.
json IsfTypes::Describe(TypeRef type) {
  std::vector<json> shells;
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
  json text = Innermost(type);
  for (auto shell = shells.rbegin(); shell != shells.rend(); ++shell) {
    (*shell)["subtype"] = std::move(text);
    text = std::move(*shell);
  }
  return text;
}

/// A bitfield stands in a unit of its type's size, which begins at a multiple of that size, or at
/// any byte where a packed one would not fit.
std::optional<json> IsfTypes::Bitfield(const MemberEntry& member) {
  const TypeKind kind = types_.KindOf(member.type);
  const auto size = types_.SizeOf(member.type);
  if ((kind != TypeKind::kInteger && kind != TypeKind::kEnum) || !size.ok() || size.value() == 0) {
    return std::nullopt;
  }
  const uint64_t unit_bits = 8 * size.value();
  uint64_t unit = member.bit_offset / unit_bits * unit_bits;
  if (member.bit_offset - unit + member.bitfield_bits > unit_bits) unit = member.bit_offset & ~7ULL;
  return json{{"type",
               {{"kind", "bitfield"},
                {"bit_position", member.bit_offset - unit},
                {"bit_length", member.bitfield_bits},
                {"type", Describe(member.type)}}},
              {"offset", unit / 8}};
}

json IsfTypes::UserType(TypeRef type) {
  json fields = json::object();
  unsigned unnamed = 0;
  for (const MemberEntry& member : types_.MembersOf(type)) {
    if (member.bitfield_bits != 0) {
      // One without a name is padding, which nobody could ask for.
      auto field = Bitfield(member);
      if (field && !member.name.empty()) fields[std::string(member.name)] = std::move(*field);
      continue;
    }
    json field = {{"type", Describe(member.type)}, {"offset", member.bit_offset / 8}};
    std::string name(member.name);
    if (name.empty()) {
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

json IsfTypes::Enum(TypeRef type) {
  const auto size = types_.SizeOf(type);
  const uint64_t bytes = size.ok() ? size.value() : 4;
  const bool is_signed = types_.NumberOf(type).is_signed;
  json constants = json::object();
  for (const auto& [name, value] : types_.EnumeratorsOf(type)) {
    if (is_signed) {
      constants[std::string(name)] = value;
    } else {
      constants[std::string(name)] = static_cast<uint64_t>(value);
    }
  }
  const std::string base = bytes == 8   ? (is_signed ? "long int" : "long unsigned int")
                           : bytes == 1 ? (is_signed ? "signed char" : "unsigned char")
                           : bytes == 2 ? (is_signed ? "short int" : "short unsigned int")
                                        : (is_signed ? "int" : "unsigned int");
  if (!base_types_.contains(base)) {
    base_types_[base] = BaseType(bytes, is_signed, IsCharacter(base) ? "char" : "int");
  }
  return {{"size", bytes}, {"base", base}, {"constants", std::move(constants)}};
}

}  // namespace kcoredump
