// SPDX-License-Identifier: MIT
//
// One kernel structure after another of the same type: members are found once by BTF, each
// structure is read once, and its members are picked from the copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kcoredump/result.h"
#include "space/memory_view.h"
#include "symbol/type_catalog.h"

namespace kcoredump {

/// Forged BTF may claim any size; task_struct, the largest of interest, has about 10 KiB.
inline constexpr uint64_t kMaxRecordBytes = 256 << 10;

/// Damage can be said in a few lines; a forged image must not say it a million times.
inline constexpr size_t kMaxStructureNotes = 32;
/// Cuts `notes` to that many and says how many there were more.
void LimitNotes(std::vector<std::string>& notes);

/// Where a member stands in its structure.
struct Field {
  uint64_t offset = 0;
  uint64_t bytes = 0;  ///< 0: this kernel has no such member

  [[nodiscard]] bool known() const { return bytes != 0; }
};

/// Finds members of one structure type.
class Layout {
 public:
  /// kNotFound: no such type; kLimitExceeded: larger than kMaxRecordBytes.
  [[nodiscard]] static Result<Layout> Of(const TypeCatalog& types, std::string type);

  [[nodiscard]] uint64_t bytes() const { return bytes_; }
  [[nodiscard]] const std::string& type() const { return type_; }
  /// An unknown field where this kernel has no such member.
  [[nodiscard]] Field Find(std::string_view path) const;
  /// As Find, with a note that names the member and says what its absence `costs`.
  [[nodiscard]] Field Find(std::string_view path, std::string_view costs,
                           std::vector<std::string>& notes) const;
  /// kNotFound names the type and the member.
  [[nodiscard]] Result<Field> Need(std::string_view path) const;

 private:
  Layout(const TypeCatalog& types, std::string type, uint64_t bytes)
      : types_(&types), type_(std::move(type)), bytes_(bytes) {}

  const TypeCatalog* types_;
  std::string type_;
  uint64_t bytes_;
};

/// A copy of one structure. For one thread.
class Record {
 public:
  [[nodiscard]] Status Load(MemoryView& memory, uint64_t address, uint64_t bytes);

  [[nodiscard]] uint64_t address() const { return address_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  /// The member as an unsigned number of up to 8 bytes; 0 where the field is not known.
  [[nodiscard]] uint64_t Unsigned(const Field& field) const;
  /// The member as text, up to its first NUL; all of it when there is none.
  [[nodiscard]] std::string Text(const Field& field) const;

 private:
  uint64_t address_ = 0;
  std::vector<std::byte> bytes_;
};

}  // namespace kcoredump
