// SPDX-License-Identifier: MIT
#include "inspect/check/operation_tables.h"

#include <algorithm>
#include <cstring>

#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// Structs of structs, in forged BTF, end somewhere.
constexpr unsigned kMaxTableNesting = 4;
constexpr size_t kMaxFunctionMembers = 512;

}  // namespace

void OperationTables::AddMembers(TypeRef type, uint64_t at, const std::string& prefix,
                                 unsigned depth, TableType& out) {
  const TypeCatalog& types = sources_.kernel.types;
  for (const MemberEntry& member : types.MembersOf(type)) {
    const uint64_t offset = at + member.bit_offset / 8;
    const std::string name = member.name.empty() ? prefix
                             : prefix.empty()    ? std::string(member.name)
                                                 : prefix + "." + std::string(member.name);
    const TypeKind kind = types.KindOf(member.type);
    if (kind == TypeKind::kPointer &&
        types.KindOf(types.Pointee(member.type)) == TypeKind::kFunction &&
        out.functions.size() < kMaxFunctionMembers) {
      out.functions.push_back({.offset = offset, .name = name});
    } else if ((kind == TypeKind::kStruct || kind == TypeKind::kUnion) &&
               depth < kMaxTableNesting) {
      AddMembers(member.type, offset, name, depth + 1, out);
    }
  }
}

const OperationTables::TableType& OperationTables::TypeOf(const std::string& type) {
  const auto [known, is_new] = types_.try_emplace(type);
  if (!is_new) return known->second;
  const auto layout = Layout::Of(sources_.kernel.types, type);
  const auto found = sources_.kernel.types.Find(type);
  if (!layout.ok() || !found.ok()) {
    log_.Unchecked("tables of " + type + ": " +
                   (layout.ok() ? found.error() : layout.error()).message);
    return known->second;
  }
  known->second.bytes = layout.value().bytes();
  AddMembers(found.value(), 0, "", 0, known->second);
  return known->second;
}

void OperationTables::CheckMembers(uint64_t address, uint64_t bytes, const std::string& type,
                                   bool certain, const std::string& object) {
  if (address == 0 || !met_.insert(address).second) return;
  const TableType& table = TypeOf(type);
  std::vector<std::byte> data(std::min(bytes, table.bytes));
  const Status read = sources_.kernel.kernel.Read(address, data);
  if (!read.ok()) return log_.Unchecked(object + ": " + read.error().message);
  log_.Examined();
  for (const FunctionMember& member : table.functions) {
    uint64_t target = 0;
    if (member.offset + sizeof(target) > data.size()) continue;
    std::memcpy(&target, data.data() + member.offset, sizeof(target));
    if (target == 0 || sources_.code.IsCode(target)) continue;
    const bool address_like = target >> 63 != 0;
    if (!certain && (!address_like || sources_.code.IsKnown(target))) continue;
    log_.Find({.kind = "pointer",
               .object = object + "." + member.name,
               .address = address + member.offset,
               .value = target,
               .text = object + " (" + type + " at " + HexAddress(address) + "): " + member.name +
                       " leads to " + sources_.Describe(target)});
  }
}

void OperationTables::Check(uint64_t address, const std::string& type, const std::string& object) {
  CheckMembers(address, UINT64_MAX, type, true, object);
}

void OperationTables::CheckNamed(uint64_t address, uint64_t bytes, const std::string& type,
                                 const std::string& object) {
  CheckMembers(address, bytes, type, false, object);
}

void OperationTables::CheckPointer(uint64_t address, const std::string& object) {
  const uint64_t target = sources_.WordAt(address);
  if (target == 0 || !met_.insert(address).second) return;
  log_.Examined();
  if (sources_.code.IsCode(target)) return;
  log_.Find({.kind = "pointer",
             .object = object,
             .address = address,
             .value = target,
             .text = object + " leads to " + sources_.Describe(target)});
}

}  // namespace kcoredump
