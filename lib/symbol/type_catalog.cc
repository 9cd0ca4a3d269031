// SPDX-License-Identifier: MIT
#include "symbol/type_catalog.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "symbol/type_catalog_impl.h"

namespace kcoredump {

namespace {

constexpr uint64_t kPointerBytes = 8;
/// Anonymous structs nest three deep in Linux. Forged ones may nest in themselves.
constexpr unsigned kMaxAnonymousDepth = 16;
constexpr unsigned kMaxMembersSeen = 1 << 20;

Error NotFound(std::string what) { return MakeError(ErrorCode::kNotFound, std::move(what)); }

/// Looks a member up, through anonymous structs and unions.
class MemberSearch {
 public:
  MemberSearch(const TypeCatalog& types, std::string_view name) : types_(types), name_(name) {}

  std::optional<MemberEntry> In(TypeRef type, uint64_t bit_offset, unsigned depth) {
    if (depth > kMaxAnonymousDepth) return std::nullopt;
    for (MemberEntry& member : types_.MembersOf(type)) {
      if (++seen_ > kMaxMembersSeen) return std::nullopt;
      member.bit_offset += bit_offset;
      if (member.name == name_) return member;
      if (!member.name.empty()) continue;
      if (auto found = In(member.type, member.bit_offset, depth + 1)) return found;
    }
    return std::nullopt;
  }

 private:
  const TypeCatalog& types_;
  std::string_view name_;
  unsigned seen_ = 0;
};

/// Takes one step, "name" or "[7]", off a path.
std::string_view TakeStep(std::string_view& path) {
  if (path.starts_with('.')) path.remove_prefix(1);
  size_t end = 0;
  if (path.starts_with('[')) {
    end = std::min(path.find(']'), path.size() - 1) + 1;
  } else {
    end = std::min(path.find_first_of(".["), path.size());
  }
  const std::string_view step = path.substr(0, end);
  path.remove_prefix(end);
  return step;
}

std::optional<uint64_t> IndexOf(std::string_view step) {
  if (!step.starts_with('[') || !step.ends_with(']')) return std::nullopt;
  uint64_t index = 0;
  const char* end = step.data() + step.size() - 1;
  const auto [stop, error] = std::from_chars(step.data() + 1, end, index);
  if (error != std::errc() || stop != end) return std::nullopt;
  return index;
}

}  // namespace

bool IsTransparent(unsigned kind) {
  return kind == BTF_KIND_TYPEDEF || kind == BTF_KIND_CONST || kind == BTF_KIND_VOLATILE ||
         kind == BTF_KIND_RESTRICT || kind == BTF_KIND_TYPE_TAG;
}

const TypeUnit* TypeCatalog::Impl::UnitOf(uint32_t number) const {
  if (number == 0) return vmlinux.get();
  if (number > modules.size()) return nullptr;
  const Module& module = modules[number - 1];
  std::call_once(module.once, [this, &module] {
    auto loaded = TypeUnit::Load(module.blob, vmlinux.get());
    if (loaded.ok()) {
      module.unit = std::move(loaded.value());
    } else {
      module.damage = loaded.error().message;
    }
  });
  return module.unit.get();
}

const btf_type& TypeCatalog::Impl::At(TypeRef type) const {
  const TypeUnit* unit = UnitOf(type.unit);
  return unit != nullptr ? unit->Type(type.id) : vmlinux->Type(0);
}

std::string_view TypeCatalog::Impl::NameAt(TypeRef type) const {
  const TypeUnit* unit = UnitOf(type.unit);
  return unit != nullptr ? unit->Name(unit->Type(type.id).name_off) : std::string_view();
}

TypeRef TypeCatalog::Impl::Element(TypeRef array) const {
  const btf_type& type = At(array);
  return btf_is_array(&type) ? Ref(array.unit, btf_array(&type)->type) : TypeRef{};
}

TypeCatalog::TypeCatalog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TypeCatalog::~TypeCatalog() = default;

Result<std::unique_ptr<TypeCatalog>> TypeCatalog::Load(std::span<const std::byte> vmlinux,
                                                       std::vector<ModuleBtf> modules) {
  auto impl = std::make_unique<Impl>();
  KCD_ASSIGN(impl->vmlinux, TypeUnit::Load(vmlinux, nullptr));
  for (ModuleBtf& module : modules) {
    Impl::Module& entry = impl->modules.emplace_back();
    entry.name = std::move(module.name);
    entry.blob = module.blob;
  }
  return std::unique_ptr<TypeCatalog>(new TypeCatalog(std::move(impl)));
}

Result<TypeRef> TypeCatalog::Find(std::string_view name) const {
  std::string damage;
  for (uint32_t unit = 0; unit <= impl_->modules.size(); ++unit) {
    const TypeRef found = impl_->FindIn(unit, name);
    if (found.id != 0) return found;
    if (unit == 0) continue;
    const Impl::Module& module = impl_->modules[unit - 1];
    if (!module.damage.empty()) damage += "; of module " + module.name + ": " + module.damage;
  }
  return NotFound("this kernel has no type \"" + std::string(name) + "\"" + damage);
}

Result<TypeRef> TypeCatalog::Resolved(TypeRef type) const {
  for (unsigned step = 0; step < kMaxTypeChain; ++step) {
    if (!IsTransparent(impl_->KindAt(type))) return type;
    type = impl_->Referred(type);
  }
  return MakeError(ErrorCode::kCorrupt, "BTF: a chain of typedefs without end");
}

TypeKind TypeCatalog::KindOf(TypeRef type) const {
  const auto resolved = Resolved(type);
  if (!resolved.ok()) return TypeKind::kOther;
  switch (impl_->KindAt(resolved.value())) {
    case BTF_KIND_UNKN:
      return TypeKind::kVoid;
    case BTF_KIND_INT:
      return TypeKind::kInteger;
    case BTF_KIND_FLOAT:
      return TypeKind::kFloat;
    case BTF_KIND_PTR:
      return TypeKind::kPointer;
    case BTF_KIND_ARRAY:
      return TypeKind::kArray;
    case BTF_KIND_STRUCT:
      return TypeKind::kStruct;
    case BTF_KIND_UNION:
      return TypeKind::kUnion;
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64:
      return TypeKind::kEnum;
    case BTF_KIND_FUNC:
    case BTF_KIND_FUNC_PROTO:
      return TypeKind::kFunction;
    case BTF_KIND_FWD:
      return TypeKind::kForward;
    default:
      return TypeKind::kOther;
  }
}

Result<uint64_t> TypeCatalog::SizeOf(TypeRef type) const {
  uint64_t elements = 1;
  for (unsigned step = 0; step < kMaxTypeChain; ++step) {
    KCD_ASSIGN(type, Resolved(type));
    const btf_type& at = impl_->At(type);
    uint64_t size = at.size;
    switch (KindOf(type)) {
      case TypeKind::kArray: {
        const auto product = CheckedMultiply(elements, btf_array(&at)->nelems);
        if (!product) return MakeError(ErrorCode::kCorrupt, "BTF: an array without end");
        elements = *product;
        type = impl_->Element(type);
        continue;
      }
      case TypeKind::kPointer:
        size = kPointerBytes;
        break;
      case TypeKind::kInteger:
      case TypeKind::kFloat:
      case TypeKind::kEnum:
      case TypeKind::kStruct:
      case TypeKind::kUnion:
        break;
      default:
        return MakeError(ErrorCode::kUnsupported, "\"" + NameOf(type) + "\" has no size");
    }
    const auto bytes = CheckedMultiply(elements, size);
    if (!bytes) return MakeError(ErrorCode::kCorrupt, "BTF: an array without end");
    return *bytes;
  }
  return MakeError(ErrorCode::kCorrupt, "BTF: arrays of arrays without end");
}

Result<uint64_t> TypeCatalog::SizeOf(std::string_view type) const {
  KCD_ASSIGN(const TypeRef found, Find(type));
  return SizeOf(found);
}

std::vector<MemberEntry> TypeCatalog::MembersOf(TypeRef type) const {
  std::vector<MemberEntry> members;
  const auto resolved = Resolved(type);
  if (!resolved.ok()) return members;
  const TypeRef ref = resolved.value();
  const btf_type& at = impl_->At(ref);
  if (!btf_is_composite(&at)) return members;
  const TypeUnit& unit = *impl_->UnitOf(ref.unit);
  members.reserve(btf_vlen(&at));
  for (uint32_t i = 0; i < btf_vlen(&at); ++i) {
    const btf_member& member = btf_members(&at)[i];
    members.push_back({unit.Name(member.name_off), impl_->Ref(ref.unit, member.type),
                       btf_member_bit_offset(&at, i), btf_member_bitfield_size(&at, i)});
  }
  return members;
}

Result<MemberRef> TypeCatalog::MemberOf(TypeRef type, std::string_view path) const {
  MemberRef at{.type = type};
  if (path.empty()) return MakeError(ErrorCode::kInvalidArgument, "no member is named");
  while (!path.empty()) {
    const std::string_view step = TakeStep(path);
    if (step.starts_with('[')) {
      const auto index = IndexOf(step);
      const uint64_t count = Count(at.type);
      if (!index || KindOf(at.type) != TypeKind::kArray || (count != 0 && *index >= count)) {
        return MakeError(ErrorCode::kInvalidArgument,
                         "\"" + std::string(step) + "\" is no element of " + NameOf(at.type));
      }
      at.type = Element(at.type);
      KCD_ASSIGN(const uint64_t size, SizeOf(at.type));
      const auto bytes = CheckedMultiply(*index, size);
      const auto bits = bytes ? CheckedMultiply(*bytes, 8) : std::nullopt;
      const auto sum = bits ? CheckedAdd(at.bit_offset, *bits) : std::nullopt;
      if (!sum) return MakeError(ErrorCode::kInvalidArgument, "an index past all memory");
      at = {.bit_offset = *sum, .type = at.type};
      continue;
    }
    const auto found = MemberSearch(*this, step).In(at.type, 0, 0);
    if (step.empty() || !found) {
      return NotFound(NameOf(at.type) + " has no member \"" + std::string(step) +
                      "\" in this kernel");
    }
    at = {.bit_offset = at.bit_offset + found->bit_offset,
          .bitfield_bits = found->bitfield_bits,
          .type = found->type};
  }
  KCD_ASSIGN(at.size_bytes, SizeOf(at.type));
  return at;
}

Result<MemberRef> TypeCatalog::Member(std::string_view type, std::string_view path) const {
  KCD_ASSIGN(const TypeRef found, Find(type));
  return MemberOf(found, path);
}

bool TypeCatalog::Has(std::string_view type, std::string_view path) const {
  return Member(type, path).ok();
}

TypeRef TypeCatalog::Pointee(TypeRef type) const {
  const auto resolved = Resolved(type);
  if (!resolved.ok() || impl_->KindAt(resolved.value()) != BTF_KIND_PTR) return {};
  return impl_->Referred(resolved.value());
}

TypeRef TypeCatalog::Element(TypeRef type) const {
  const auto resolved = Resolved(type);
  return resolved.ok() ? impl_->Element(resolved.value()) : TypeRef{};
}

uint64_t TypeCatalog::Count(TypeRef type) const {
  const auto resolved = Resolved(type);
  if (!resolved.ok()) return 0;
  const btf_type& at = impl_->At(resolved.value());
  return btf_is_array(&at) ? btf_array(&at)->nelems : 0;
}

NumberFormat TypeCatalog::NumberOf(TypeRef type) const {
  const auto resolved = Resolved(type);
  if (!resolved.ok()) return {};
  const btf_type& at = impl_->At(resolved.value());
  if (btf_is_any_enum(&at)) return {.is_signed = btf_kflag(&at)};
  if (!btf_is_int(&at)) return {};
  // GCC's debug information has "char" as a number of one byte; BTF_INT_CHAR is never set.
  return {.is_signed = (btf_int_encoding(&at) & BTF_INT_SIGNED) != 0,
          .is_char = at.size == 1 && impl_->NameAt(resolved.value()) == "char",
          .is_bool = (btf_int_encoding(&at) & BTF_INT_BOOL) != 0};
}

std::string_view TypeCatalog::EnumeratorName(TypeRef type, int64_t value) const {
  const auto resolved = Resolved(type);
  if (!resolved.ok()) return {};
  return impl_->UnitOf(resolved.value().unit)->EnumeratorName(resolved.value().id, value);
}

std::string_view TypeCatalog::BareNameOf(TypeRef type) const { return impl_->NameAt(type); }

std::vector<EnumeratorEntry> TypeCatalog::EnumeratorsOf(TypeRef type) const {
  const auto resolved = Resolved(type);
  if (!resolved.ok()) return {};
  const TypeUnit* unit = impl_->UnitOf(resolved.value().unit);
  return unit != nullptr ? unit->EnumeratorsOf(resolved.value().id)
                         : std::vector<EnumeratorEntry>();
}

Result<int64_t> TypeCatalog::Enumerator(std::string_view name) const {
  const auto value = impl_->vmlinux->Enumerator(name);
  if (!value) return NotFound("this kernel has no enumerator \"" + std::string(name) + "\"");
  return *value;
}

Result<std::string> TypeCatalog::Format(TypeRef type, std::span<const std::byte> data) const {
  KCD_ASSIGN(type, Resolved(type));
  KCD_ASSIGN(const uint64_t size, SizeOf(type));
  const TypeUnit* unit = impl_->UnitOf(type.unit);
  if (size != data.size() || unit == nullptr) {
    return MakeError(ErrorCode::kInvalidArgument,
                     std::to_string(data.size()) + " bytes are no " + NameOf(type));
  }
  return unit->Format(type.id, data);
}

}  // namespace kcoredump
