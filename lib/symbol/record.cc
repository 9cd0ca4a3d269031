// SPDX-License-Identifier: MIT
#include "symbol/record.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/error.h"
#include "base/try.h"
#include "kcoredump/kernel.h"

namespace kcoredump {

void LimitNotes(std::vector<std::string>& notes) {
  if (notes.size() <= kMaxStructureNotes) return;
  const size_t more = notes.size() - kMaxStructureNotes;
  const std::string at_least = notes.size() < kMostNotes ? "" : "at least ";
  notes.resize(kMaxStructureNotes);
  notes.push_back("… and " + at_least + std::to_string(more) + " more of the kind");
}

Result<Layout> Layout::Of(const TypeCatalog& types, std::string type) {
  KCD_ASSIGN(const uint64_t bytes, types.SizeOf(type));
  if (bytes == 0 || bytes > kMaxRecordBytes) {
    return MakeError(ErrorCode::kLimitExceeded,
                     "BTF says that " + type + " has " + std::to_string(bytes) + " bytes");
  }
  return Layout(types, std::move(type), bytes);
}

Result<Field> Layout::Need(std::string_view path) const {
  KCD_ASSIGN(const MemberRef member, types_->Member(type_, path));
  const uint64_t offset = member.offset();
  if (member.size_bytes > bytes_ || offset > bytes_ - member.size_bytes) {
    return MakeError(ErrorCode::kCorrupt, "BTF puts " + std::string(path) + " outside " + type_);
  }
  return Field{.offset = offset, .bytes = member.size_bytes};
}

Field Layout::Find(std::string_view path) const {
  auto field = Need(path);
  return field.ok() ? field.value() : Field{};
}

Field Layout::Find(std::string_view path, std::string_view costs,
                   std::vector<std::string>& notes) const {
  auto field = Need(path);
  if (field.ok()) return field.value();
  notes.push_back(field.error().message + ": " + std::string(costs));
  return {};
}

Status Record::Load(MemoryView& memory, uint64_t address, uint64_t bytes) {
  address_ = address;
  bytes_.resize(bytes);
  return memory.Read(address, bytes_);
}

uint64_t Record::Unsigned(const Field& field) const {
  if (field.offset > bytes_.size()) return 0;
  const size_t bytes = std::min<size_t>({field.bytes, bytes_.size() - field.offset, 8});
  uint64_t value = 0;
  std::memcpy(&value, bytes_.data() + field.offset, bytes);
  return value;
}

std::string Record::Text(const Field& field) const {
  if (field.offset > bytes_.size()) return {};
  const size_t bytes = std::min<size_t>(field.bytes, bytes_.size() - field.offset);
  const std::string_view all = AsText(bytes_).substr(field.offset, bytes);
  return std::string(all.substr(0, all.find('\0')));
}

}  // namespace kcoredump
