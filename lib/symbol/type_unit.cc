// SPDX-License-Identifier: MIT
#include "symbol/type_unit.h"

#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdarg>
#include <cstdio>

#include "base/error.h"
#include "base/try.h"
#include "base/unique_fd.h"

namespace kcoredump {

namespace {

/// A longest number is 128 bits in hexadecimal; enumerators can be longer.
constexpr size_t kMaxFormattedBytes = 512;

uint32_t Hash(std::string_view name) {
  uint32_t hash = 2166136261U;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619U;
  return hash;
}

/// libbpf's printf.
void AppendFormatted(void* out, const char* format, va_list arguments) noexcept {
  std::array<char, kMaxFormattedBytes> piece{};
  const int length = std::vsnprintf(piece.data(), piece.size(), format, arguments);
  if (length <= 0) return;
  static_cast<std::string*>(out)->append(piece.data(),
                                         std::min(static_cast<size_t>(length), piece.size() - 1));
}

int64_t EnumValue(const btf_type& type, size_t index) {
  if (btf_is_enum64(&type)) {
    const auto* words = reinterpret_cast<const uint32_t*>(&type + 1) + 3 * index;
    return static_cast<int64_t>(uint64_t{words[2]} << 32 | words[1]);
  }
  const int32_t value = btf_enum(&type)[index].val;
  return btf_kflag(&type) ? int64_t{value} : int64_t{static_cast<uint32_t>(value)};
}

uint32_t EnumName(const btf_type& type, size_t index) {
  if (btf_is_enum64(&type)) return (reinterpret_cast<const uint32_t*>(&type + 1) + 3 * index)[0];
  return btf_enum(&type)[index].name_off;
}

/// libbpf 1.1.2 declares btf__new_split() and does not have it: split BTF can only come from a
/// file.
Result<UniqueFd> FileOf(std::span<const std::byte> bytes) {
  UniqueFd file(memfd_create("btf", MFD_CLOEXEC));
  if (!file.valid()) return SystemError("memfd_create", errno);
  while (!bytes.empty()) {
    const ssize_t done = write(file.get(), bytes.data(), bytes.size());
    if (done < 0) return SystemError("writing BTF to memory", errno);
    bytes = bytes.subspan(static_cast<size_t>(done));
  }
  return file;
}

Result<btf*> Parse(std::span<const std::byte> bytes, btf* base) {
  btf* handle = nullptr;
  if (base == nullptr) {
    handle = btf__new(bytes.data(), static_cast<uint32_t>(bytes.size()));
  } else {
    KCD_ASSIGN(const UniqueFd file, FileOf(bytes));
    handle = btf__parse_raw_split(("/proc/self/fd/" + std::to_string(file.get())).c_str(), base);
  }
  const int reason = errno;
  if (handle != nullptr) return handle;
  return MakeError(ErrorCode::kCorrupt, "BTF that libbpf refuses (" + ErrnoName(reason) + ")");
}

}  // namespace

TypeUnit::~TypeUnit() = default;

Result<std::unique_ptr<TypeUnit>> TypeUnit::Load(std::span<const std::byte> blob,
                                                 const TypeUnit* base) {
  BtfBase continues;
  if (base != nullptr) continues = {base->type_count_, base->string_bytes_};
  KCD_ASSIGN(const CheckedBtf checked, CheckBtf(blob, continues));
  libbpf_set_print(nullptr);  // the library never prints
  KCD_ASSIGN(btf* const handle, Parse(checked.bytes, base == nullptr ? nullptr : base->btf_.get()));
  std::unique_ptr<TypeUnit> unit(new TypeUnit());
  unit->btf_.reset(handle);
  if (btf__type_cnt(handle) != checked.type_count) {
    return MakeError(ErrorCode::kCorrupt, "BTF that libbpf counts otherwise");
  }
  // It would guess from a type named "long", which may be forged.
  btf__set_pointer_size(handle, sizeof(uint64_t));
  unit->first_own_id_ = continues.type_count;
  unit->type_count_ = checked.type_count;
  unit->string_bytes_ = continues.string_bytes + checked.string_bytes;
  unit->enums_ = checked.enums;
  unit->IndexNames(checked.named);
  return unit;
}

const btf_type& TypeUnit::Type(uint32_t id) const {
  const btf_type* type = btf__type_by_id(btf_.get(), id);
  return type != nullptr ? *type : *btf__type_by_id(btf_.get(), 0);
}

std::string_view TypeUnit::Name(uint32_t offset) const {
  const char* name = btf__name_by_offset(btf_.get(), offset);
  return name != nullptr ? name : "";
}

void TypeUnit::IndexNames(const std::vector<uint32_t>& named) {
  names_.resize(std::bit_ceil(std::max<size_t>(named.size() * 2, 16)));
  const size_t mask = names_.size() - 1;
  for (const uint32_t id : named) {
    const uint32_t hash = Hash(Name(Type(id).name_off));
    size_t slot = hash & mask;
    while (names_[slot].value != 0) slot = (slot + 1) & mask;
    names_[slot] = {hash, id};
  }
}

uint32_t TypeUnit::Find(std::string_view name, unsigned kind) const {
  const uint32_t hash = Hash(name);
  const size_t mask = names_.size() - 1;
  // Equal names stand in the order of their ids: the first hit is the first type.
  for (size_t slot = hash & mask; names_[slot].value != 0; slot = (slot + 1) & mask) {
    if (names_[slot].hash != hash) continue;
    const btf_type& type = Type(names_[slot].value);
    if (btf_kind(&type) == kind && Name(type.name_off) == name) return names_[slot].value;
  }
  return 0;
}

void TypeUnit::IndexEnumerators() const {
  for (const uint32_t id : enums_) {
    const btf_type& type = Type(id);
    for (size_t i = 0; i < btf_vlen(&type); ++i) {
      enumerators_.push_back({Name(EnumName(type, i)), EnumValue(type, i)});
    }
  }
  std::stable_sort(
      enumerators_.begin(), enumerators_.end(),
      [](const EnumeratorEntry& a, const EnumeratorEntry& b) { return a.name < b.name; });
}

std::optional<int64_t> TypeUnit::Enumerator(std::string_view name) const {
  std::call_once(enumerators_once_, [this] { IndexEnumerators(); });
  const auto found =
      std::lower_bound(enumerators_.begin(), enumerators_.end(), name,
                       [](const EnumeratorEntry& a, std::string_view b) { return a.name < b; });
  if (found == enumerators_.end() || found->name != name) return std::nullopt;
  return found->value;
}

std::vector<EnumeratorEntry> TypeUnit::EnumeratorsOf(uint32_t id) const {
  std::vector<EnumeratorEntry> entries;
  const btf_type& type = Type(id);
  if (!btf_is_any_enum(&type)) return entries;
  entries.reserve(btf_vlen(&type));
  for (size_t i = 0; i < btf_vlen(&type); ++i) {
    entries.push_back({Name(EnumName(type, i)), EnumValue(type, i)});
  }
  return entries;
}

std::string_view TypeUnit::EnumeratorName(uint32_t id, int64_t value) const {
  const btf_type& type = Type(id);
  if (!btf_is_any_enum(&type)) return {};
  for (size_t i = 0; i < btf_vlen(&type); ++i) {
    if (EnumValue(type, i) == value) return Name(EnumName(type, i));
  }
  return {};
}

Result<std::string> TypeUnit::Format(uint32_t id, std::span<const std::byte> data) const {
  if (!dump_) {
    dump_.reset(btf_dump__new(btf_.get(), AppendFormatted, &formatted_, nullptr));
    if (!dump_) return SystemError("preparing libbpf to print", errno);
  }
  formatted_.clear();
  btf_dump_type_data_opts options{};
  options.sz = sizeof(options);
  options.compact = true;
  options.skip_names = true;
  options.emit_zeroes = true;
  const int done = btf_dump__dump_type_data(dump_.get(), id, data.data(), data.size(), &options);
  if (done < 0) {
    return MakeError(ErrorCode::kCorrupt, "a value of " + std::to_string(data.size()) +
                                              " bytes of type " + std::to_string(id) +
                                              " that libbpf cannot print (" + ErrnoName(-done) +
                                              ")");
  }
  return formatted_;
}

}  // namespace kcoredump
