// SPDX-License-Identifier: MIT
//
// Types by the names C gives them, both ways.
#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "base/words.h"
#include "symbol/type_catalog_impl.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxNameBytes = 1024;
/// Most types that one name may mention; function pointers that take function pointers add up.
constexpr unsigned kMaxMentioned = 256;

std::string_view Trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::string Joined(const std::vector<std::string_view>& words) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) text += ' ';
    text += word;
  }
  return text;
}

/// "unsigned long" as GCC's debug information spells it, "long unsigned int". Nothing: not a
/// number of C's own.
std::optional<std::string> GccSpelling(const std::vector<std::string_view>& words) {
  size_t longs = 0;
  bool is_unsigned = false;
  bool is_signed = false;
  bool is_char = false;
  bool is_short = false;
  for (const std::string_view word : words) {
    if (word == "long")
      ++longs;
    else if (word == "unsigned")
      is_unsigned = true;
    else if (word == "signed")
      is_signed = true;
    else if (word == "char")
      is_char = true;
    else if (word == "short")
      is_short = true;
    else if (word != "int")
      return std::nullopt;
  }
  if (is_char)
    return std::string(is_unsigned ? "unsigned char" : is_signed ? "signed char" : "char");
  std::string text = is_short ? "short " : longs == 1 ? "long " : longs > 1 ? "long long " : "";
  if (is_unsigned) text += "unsigned ";
  return text + "int";
}

/// A name taken apart: "const struct page *[4]".
struct TypeName {
  std::vector<std::string_view> words;
  unsigned pointers = 0;
  std::vector<uint32_t> counts;  ///< of arrays, the outermost first
};

std::optional<TypeName> Parse(std::string_view text) {
  TypeName name;
  text = Trimmed(text);
  while (text.ends_with(']')) {
    const size_t open = text.rfind('[');
    uint32_t count = 0;
    if (open == std::string_view::npos) return std::nullopt;
    const char* end = text.data() + text.size() - 1;
    const auto [stop, error] = std::from_chars(text.data() + open + 1, end, count);
    if (error != std::errc() || stop != end) return std::nullopt;
    name.counts.insert(name.counts.begin(), count);
    text = Trimmed(text.substr(0, open));
  }
  while (text.ends_with('*')) {
    ++name.pointers;
    text = Trimmed(text.substr(0, text.size() - 1));
  }
  name.words = SplitWords(text);
  std::erase_if(name.words, [](std::string_view word) {
    return word == "const" || word == "volatile" || word == "restrict";
  });
  if (name.words.empty()) return std::nullopt;
  return name;
}

uint32_t FindAny(const TypeUnit& unit, std::string_view name,
                 std::initializer_list<unsigned> kinds) {
  for (const unsigned kind : kinds) {
    if (const uint32_t id = unit.Find(name, kind); id != 0) return id;
  }
  return 0;
}

uint32_t FindBase(const TypeUnit& unit, const std::vector<std::string_view>& words) {
  if (words.size() == 2 && words[0] == "struct") return unit.Find(words[1], BTF_KIND_STRUCT);
  if (words.size() == 2 && words[0] == "union") return unit.Find(words[1], BTF_KIND_UNION);
  if (words.size() == 2 && words[0] == "enum") {
    return FindAny(unit, words[1], {BTF_KIND_ENUM, BTF_KIND_ENUM64});
  }
  const uint32_t id = FindAny(unit, Joined(words),
                              {BTF_KIND_TYPEDEF, BTF_KIND_STRUCT, BTF_KIND_UNION, BTF_KIND_ENUM,
                               BTF_KIND_ENUM64, BTF_KIND_INT, BTF_KIND_FLOAT});
  if (id != 0) return id;
  const auto gcc = GccSpelling(words);
  return gcc ? FindAny(unit, *gcc, {BTF_KIND_INT}) : 0;
}

/// The first of the unit's own types for which `is` holds; 0: none.
template <typename Predicate>
uint32_t FirstOwn(const TypeUnit& unit, Predicate is) {
  for (uint32_t id = unit.first_own_id(); id < unit.type_count(); ++id) {
    if (is(unit.Type(id))) return id;
  }
  return 0;
}

bool IsPerCpu(const TypeUnit& unit, uint32_t variable) {
  return FirstOwn(unit, [&](const btf_type& type) {
           if (!btf_is_datasec(&type)) return false;
           if (unit.Name(type.name_off).find("percpu") == std::string_view::npos) return false;
           const btf_var_secinfo* entries = btf_var_secinfos(&type);
           return std::any_of(entries, entries + btf_vlen(&type),
                              [&](const btf_var_secinfo& entry) { return entry.type == variable; });
         }) != 0;
}

/// Writes declarators, inside out.
class Speller {
 public:
  explicit Speller(const TypeCatalog::Impl& types) : types_(types) {}

  /// `inner`: the declarator so far, "*", "(*)[4]".
  std::string Declare(TypeRef type, std::string inner) {
    for (unsigned step = 0; step < kMaxTypeChain; ++step) {
      if (++mentioned_ > kMaxMentioned || inner.size() > kMaxNameBytes) return "…";
      switch (const unsigned kind = types_.KindAt(type)) {
        case BTF_KIND_CONST:
        case BTF_KIND_VOLATILE:
        case BTF_KIND_RESTRICT:
          Qualify(kind, type, inner);
          break;
        case BTF_KIND_TYPE_TAG:
        case BTF_KIND_DECL_TAG:
          break;
        case BTF_KIND_PTR:
          inner.insert(0, 1, '*');
          break;
        case BTF_KIND_ARRAY:
          if (inner.starts_with('*')) inner.insert(0, 1, '(').push_back(')');
          inner += "[" + std::to_string(btf_array(&types_.At(type))->nelems) + "]";
          type = types_.Element(type);
          continue;
        case BTF_KIND_FUNC_PROTO:
          if (!inner.empty()) inner.insert(0, 1, '(').push_back(')');
          inner += Parameters(type);
          break;
        default:
          return prefix_ + Base(type, kind) + (inner.empty() ? "" : " " + inner);
      }
      type = types_.Referred(type);
    }
    return "…";
  }

 private:
  /// A qualifier of a pointer stands right of its star, any other in front of all.
  void Qualify(unsigned kind, TypeRef type, std::string& inner) {
    const char* word = kind == BTF_KIND_CONST      ? "const"
                       : kind == BTF_KIND_VOLATILE ? "volatile"
                                                   : "restrict";
    if (types_.KindAt(types_.Referred(type)) == BTF_KIND_PTR) {
      inner = inner.empty() ? std::string(word) : std::string(word) + " " + inner;
      inner.insert(0, 1, ' ');
    } else {
      prefix_ += std::string(word) + " ";
    }
  }

  std::string Parameters(TypeRef function) {
    const btf_type& type = types_.At(function);
    std::string list;
    for (size_t i = 0; i < btf_vlen(&type); ++i) {
      if (i != 0) list += ", ";
      if (list.size() > kMaxNameBytes || mentioned_ > kMaxMentioned) return "(" + list + "…)";
      const btf_param& parameter = btf_params(&type)[i];
      const bool variadic = parameter.type == 0 && i + 1 == btf_vlen(&type);
      std::string outer_prefix = std::move(prefix_);
      prefix_.clear();
      list += variadic ? "..." : Declare(types_.Ref(function.unit, parameter.type), "");
      prefix_ = std::move(outer_prefix);
    }
    return "(" + (list.empty() ? "void" : list) + ")";
  }

  [[nodiscard]] std::string Base(TypeRef type, unsigned kind) const {
    const btf_type& at = types_.At(type);
    std::string name(types_.NameAt(type).substr(0, kMaxNameBytes));
    const auto tagged = [&](const char* tag) {
      return std::string(tag) + (name.empty() ? " {...}" : " " + name);
    };
    switch (kind) {
      case BTF_KIND_UNKN:
        return "void";
      case BTF_KIND_STRUCT:
        return tagged("struct");
      case BTF_KIND_UNION:
        return tagged("union");
      case BTF_KIND_ENUM:
      case BTF_KIND_ENUM64:
        return tagged("enum");
      case BTF_KIND_FWD:
        return tagged(btf_kflag(&at) ? "union" : "struct");
      default:
        return name;
    }
  }

  const TypeCatalog::Impl& types_;
  std::string prefix_;
  unsigned mentioned_ = 0;
};

}  // namespace

TypeRef TypeCatalog::Impl::FindIn(uint32_t number, std::string_view name) const {
  const TypeUnit* unit = UnitOf(number);
  const auto parsed = Parse(name);
  if (unit == nullptr || !parsed) return {};
  const bool is_void = parsed->words.size() == 1 && parsed->words[0] == "void";
  uint32_t id = is_void ? 0 : FindBase(*unit, parsed->words);
  if (id == 0 && !is_void && number != 0) {
    // A module's pointer to a type of vmlinux.
    id = FindBase(*vmlinux, parsed->words);
    if (parsed->pointers == 0 && parsed->counts.empty()) return {};
  }
  if (id == 0 && !is_void) return {};
  for (unsigned i = 0; i < parsed->pointers; ++i) {
    id = FirstOwn(*unit,
                  [id](const btf_type& type) { return btf_is_ptr(&type) && type.type == id; });
    if (id == 0) return {};
  }
  for (auto count = parsed->counts.rbegin(); count != parsed->counts.rend(); ++count) {
    id = FirstOwn(*unit, [id, count](const btf_type& type) {
      return btf_is_array(&type) && btf_array(&type)->type == id &&
             btf_array(&type)->nelems == *count;
    });
    if (id == 0) return {};
  }
  return Ref(number, id);
}

Result<VariableRef> TypeCatalog::Variable(std::string_view name) const {
  for (uint32_t number = 0; number <= impl_->modules.size(); ++number) {
    const TypeUnit* unit = impl_->UnitOf(number);
    if (unit == nullptr) continue;
    const uint32_t id = FirstOwn(*unit, [&](const btf_type& type) {
      return btf_is_var(&type) && unit->Name(type.name_off) == name;
    });
    if (id == 0) continue;
    return VariableRef{.type = impl_->Ref(number, unit->Type(id).type),
                       .per_cpu = IsPerCpu(*unit, id)};
  }
  return MakeError(ErrorCode::kNotFound,
                   "this kernel's BTF has no variable \"" + std::string(name) + "\"");
}

std::vector<VariableEntry> TypeCatalog::Variables() const {
  std::vector<VariableEntry> variables;
  const TypeUnit& unit = *impl_->vmlinux;
  for (uint32_t id = unit.first_own_id(); id < unit.type_count(); ++id) {
    const btf_type& type = unit.Type(id);
    if (btf_is_var(&type)) variables.push_back({unit.Name(type.name_off), {0, type.type}});
  }
  return variables;
}

std::vector<TypeRef> TypeCatalog::Named() const {
  std::vector<TypeRef> named;
  const TypeUnit& unit = *impl_->vmlinux;
  for (uint32_t id = unit.first_own_id(); id < unit.type_count(); ++id) {
    const btf_type& type = unit.Type(id);
    const bool counts = btf_is_composite(&type) || btf_is_any_enum(&type) || btf_is_typedef(&type);
    if (counts && type.name_off != 0) named.push_back({0, id});
  }
  return named;
}

std::string TypeCatalog::NameOf(TypeRef type) const { return Speller(*impl_).Declare(type, ""); }

}  // namespace kcoredump
