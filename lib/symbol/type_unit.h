// SPDX-License-Identifier: MIT
//
// One BTF blob, vmlinux's or a module's, checked, in libbpf's hands and indexed by name.
#pragma once

#include <bpf/btf.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kcoredump/result.h"
#include "symbol/type_catalog.h"
#include "symbol/type_check.h"

namespace kcoredump {

/// Immutable; any thread may ask (Format excepted: one thread at a time).
class TypeUnit {
 public:
  /// `base` must outlive the unit; nullptr: `blob` stands alone. The blob is copied.
  [[nodiscard]] static Result<std::unique_ptr<TypeUnit>> Load(std::span<const std::byte> blob,
                                                              const TypeUnit* base);
  TypeUnit(const TypeUnit&) = delete;
  TypeUnit& operator=(const TypeUnit&) = delete;
  ~TypeUnit();

  /// Ids from `first_own_id` up to `type_count` are the unit's own; those below, the base's.
  [[nodiscard]] uint32_t first_own_id() const { return first_own_id_; }
  [[nodiscard]] uint32_t type_count() const { return type_count_; }
  /// Void for an id that is none.
  [[nodiscard]] const btf_type& Type(uint32_t id) const;
  [[nodiscard]] std::string_view Name(uint32_t offset) const;

  /// The first of the unit's own types of that name and kind (BTF_KIND_…); 0: none. Only kinds that
  /// CheckedBtf::named lists.
  [[nodiscard]] uint32_t Find(std::string_view name, unsigned kind) const;
  [[nodiscard]] std::optional<int64_t> Enumerator(std::string_view name) const;
  /// Of an enum, in order; empty for other types.
  [[nodiscard]] std::vector<EnumeratorEntry> EnumeratorsOf(uint32_t id) const;
  /// Of an enum, by value; empty: none.
  [[nodiscard]] std::string_view EnumeratorName(uint32_t id, int64_t value) const;

  /// A number, an enumerator or a pointer as btf_dump__dump_type_data writes it, without its type.
  /// `id` is no modifier or typedef. kCorrupt: `data` is not of the type's size.
  [[nodiscard]] Result<std::string> Format(uint32_t id, std::span<const std::byte> data) const;

 private:
  struct FreeBtf {
    void operator()(btf* handle) const { btf__free(handle); }
  };
  struct FreeDump {
    void operator()(btf_dump* handle) const { btf_dump__free(handle); }
  };
  /// Open addressing, the key being a name. 0: free.
  struct Slot {
    uint32_t hash = 0;
    uint32_t value = 0;
  };

  TypeUnit() = default;
  void IndexNames(const std::vector<uint32_t>& named);
  void IndexEnumerators() const;

  std::unique_ptr<btf, FreeBtf> btf_;
  uint32_t first_own_id_ = 1;
  uint32_t type_count_ = 1;
  uint32_t string_bytes_ = 0;  ///< with the base's
  std::vector<Slot> names_;    ///< by name: type ids
  std::vector<uint32_t> enums_;

  mutable std::once_flag enumerators_once_;
  mutable std::vector<EnumeratorEntry> enumerators_;  ///< sorted by name; made at the first need

  mutable std::string formatted_;                     ///< what `dump_` writes to
  mutable std::unique_ptr<btf_dump, FreeDump> dump_;  ///< made at the first need
};

}  // namespace kcoredump
