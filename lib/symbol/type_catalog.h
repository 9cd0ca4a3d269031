// SPDX-License-Identifier: MIT
//
// The kernel's types by BTF (kernel: Documentation/bpf/btf.rst), vmlinux's and its modules'.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kcoredump/result.h"

namespace kcoredump {

/// A type of one catalog. Ids of vmlinux and of each module's split BTF are told apart by `unit`.
struct TypeRef {
  uint32_t unit = 0;  ///< 0: vmlinux; others: the module's number + 1
  uint32_t id = 0;    ///< 0: void
  bool operator==(const TypeRef&) const = default;
};

enum class TypeKind : uint8_t {
  kVoid,
  kInteger,
  kFloat,
  kPointer,
  kArray,
  kStruct,
  kUnion,
  kEnum,
  kFunction,
  kForward,  ///< declared only
  kOther,
};

/// A member where it stands in the outermost type asked about.
struct MemberRef {
  uint64_t bit_offset = 0;
  uint32_t bitfield_bits = 0;  ///< 0: not a bitfield
  TypeRef type;
  uint64_t size_bytes = 0;  ///< of its type

  [[nodiscard]] uint64_t offset() const { return bit_offset / 8; }
};

/// A member as its struct or union lists it.
struct MemberEntry {
  std::string_view name;  ///< empty: an anonymous struct or union, whose members count as its own
  TypeRef type;
  uint64_t bit_offset = 0;     ///< in that struct
  uint32_t bitfield_bits = 0;  ///< 0: not a bitfield
};

/// A variable that BTF describes. Kernels up to 7.2 describe per-CPU ones only.
struct VariableRef {
  TypeRef type;
  bool per_cpu = false;
};

/// A variable as BTF lists it.
struct VariableEntry {
  std::string_view name;
  TypeRef type;
};

/// A value of an enum as BTF lists it.
struct EnumeratorEntry {
  std::string_view name;
  int64_t value = 0;
};

/// How the bytes of a number read.
struct NumberFormat {
  bool is_signed = false;
  bool is_char = false;  ///< one byte, spelled char
  bool is_bool = false;
};

/// One module's split BTF.
struct ModuleBtf {
  std::string name;
  std::span<const std::byte> blob;  ///< must outlive the catalog
};

/// Loads once; then any thread may ask (Format excepted: one thread at a time). Names and sizes may
/// be forged: nothing here loops or strays for that, but a size says nothing of what is sane.
class TypeCatalog {
 public:
  /// `vmlinux` is copied. Modules' BTF is parsed at its first need. kCorrupt: forged or torn BTF;
  /// kUnsupported: another byte order, or kinds newer than BTF_KIND_ENUM64.
  [[nodiscard]] static Result<std::unique_ptr<TypeCatalog>> Load(std::span<const std::byte> vmlinux,
                                                                 std::vector<ModuleBtf> modules);
  ~TypeCatalog();

  /// By name as C writes it: "struct task_struct", "union x", "enum y", "pid_t", "unsigned int",
  /// "struct page *"; a bare "task_struct" tries typedef, struct, union, enum. Typedefs are kept.
  /// kNotFound names it, and the modules whose BTF is damaged. Vmlinux first, then the modules in
  /// order.
  [[nodiscard]] Result<TypeRef> Find(std::string_view name) const;

  /// A member by path, "tasks.next", "mm", "comm[3]", through anonymous structs and unions.
  /// kNotFound names the type and the part of the path that this kernel lacks; kInvalidArgument: no
  /// path, or an index past the array's end (an array of 0 elements has none).
  [[nodiscard]] Result<MemberRef> Member(std::string_view type, std::string_view path) const;
  [[nodiscard]] Result<MemberRef> MemberOf(TypeRef type, std::string_view path) const;
  [[nodiscard]] bool Has(std::string_view type, std::string_view path) const;

  /// In bytes. kCorrupt: endless; kUnsupported: a type that has none (void, a function, a struct
  /// that is only declared).
  [[nodiscard]] Result<uint64_t> SizeOf(TypeRef type) const;
  [[nodiscard]] Result<uint64_t> SizeOf(std::string_view type) const;
  [[nodiscard]] TypeKind KindOf(TypeRef type) const;  ///< typedefs and qualifiers looked through
  [[nodiscard]] TypeRef Pointee(TypeRef type) const;  ///< of a pointer; void: none
  [[nodiscard]] TypeRef Element(TypeRef type) const;  ///< of an array
  [[nodiscard]] uint64_t Count(TypeRef type) const;   ///< elements of an array
  /// As C writes it: "struct task_struct", "char [16]", "int (*)(void)".
  [[nodiscard]] std::string NameOf(TypeRef type) const;
  /// kNotFound: BTF does not describe it.
  [[nodiscard]] Result<VariableRef> Variable(std::string_view name) const;
  /// Vmlinux's, in BTF's order: for those who need many.
  [[nodiscard]] std::vector<VariableEntry> Variables() const;
  /// Vmlinux's structs, unions, enums and typedefs that have a name.
  [[nodiscard]] std::vector<TypeRef> Named() const;
  /// The name that a type has itself; empty: none.
  [[nodiscard]] std::string_view BareNameOf(TypeRef type) const;
  /// Of an enum, typedefs looked through, in order; empty for others.
  [[nodiscard]] std::vector<EnumeratorEntry> EnumeratorsOf(TypeRef type) const;
  /// The value of an enumerator of any enum of vmlinux.
  [[nodiscard]] Result<int64_t> Enumerator(std::string_view name) const;

  /// Without typedefs and qualifiers. kCorrupt: there is no end to them.
  [[nodiscard]] Result<TypeRef> Resolved(TypeRef type) const;
  /// Of a struct or union, typedefs looked through, in order; empty for others.
  [[nodiscard]] std::vector<MemberEntry> MembersOf(TypeRef type) const;
  /// Of an integer or an enum, typedefs looked through.
  [[nodiscard]] NumberFormat NumberOf(TypeRef type) const;
  /// The name of an enum's value; empty: none.
  [[nodiscard]] std::string_view EnumeratorName(TypeRef type, int64_t value) const;
  /// A number, enumerator or pointer as btf_dump__dump_type_data writes it, without its type.
  /// `data` is of the type's size.
  [[nodiscard]] Result<std::string> Format(TypeRef type, std::span<const std::byte> data) const;

  class Impl;  // lib/symbol/type_catalog_impl.h

 private:
  explicit TypeCatalog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kcoredump
