// SPDX-License-Identifier: MIT
//
// Typed data by BTF: a value and what it is made of, or where the members of a type stand.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kcoredump/kernel.h"
#include "kcoredump/result.h"

namespace kcoredump {

/// Structs may nest deeper than anyone reads; forged ones nest in themselves.
inline constexpr unsigned kMaxPrintDepth = 16;
inline constexpr uint64_t kDefaultMaxElements = 16;

struct PrintOptions {
  unsigned depth = 1;  ///< structs within structs whose members are shown; 1: the outermost alone
  uint64_t max_elements = kDefaultMaxElements;  ///< of each array; 0: all
};

enum class ValueKind : uint8_t {
  kNumber,  ///< integers, bool, floating point
  kEnum,
  kPointer,
  kText,  ///< an array of char
  kStruct,
  kUnion,
  kArray,
  kOpaque,  ///< bytes that have no value: forged types, numbers of no known width
};

enum class ValueState : uint8_t {
  kRead,
  kUnreadable,  ///< its memory is missing
  kNotRead,     ///< beyond what is read of one object, or (forged) outside its struct
};

/// A value, and the tree below it. All text may quote the image: escape it for a terminal.
struct TypedValue {
  std::string name;           ///< of a member; empty: the whole, or an element
  std::string type;           ///< as C writes it
  uint64_t offset = 0;        ///< bytes from the beginning of the whole
  uint64_t bytes = 0;         ///< of its type
  uint8_t bit = 0;            ///< of a bitfield: bits from `offset` on
  uint8_t bitfield_bits = 0;  ///< 0: not a bitfield
  ValueKind kind = ValueKind::kOpaque;
  ValueState state = ValueState::kRead;

  /// A number as libbpf writes it, an enum's value by name if it has one; what a kText holds.
  std::string text;
  /// Numbers, enums and pointers of up to 8 bytes, sign-extended.
  std::optional<uint64_t> number;
  bool is_signed = false;
  bool is_char = false;  ///< one character, not an array
  bool is_bool = false;
  std::string symbol;                 ///< what a pointer points to, an enumerator; empty: none
  std::optional<std::string> string;  ///< what a char pointer points to, if that is text

  /// Of a struct or union, with those of its anonymous parts in their place; elements of an array.
  std::vector<TypedValue> members;
  uint64_t first = 0;  ///< index of an array's first element that is shown
  uint64_t count = 0;  ///< elements of an array, those that are left out as well
  bool cut = false;    ///< members, elements or text were left out, by an option or a limit
};

struct ValueAnswer {
  Target at;
  std::string symbol;  ///< that the kernel address belongs to; empty: none
  TypedValue value;
  bool not_reached = false;  ///< what is missing is missing for the capture ended before it
  Findings findings;
};

/// Reads what `expression`, TYPE@WHERE and a path, names.
///
/// TYPE as C writes it, "struct task_struct", "pid_t", "void *[16]"; WHERE as Kernel::Resolve. It
/// may be left out only where BTF describes the variable. The path goes on from there: ".member"
/// (through anonymous structs and unions), "->member" and "[3]" follow pointers, "[3]" and, at the
/// end, "[3..7]" pick elements of arrays.
///
/// Members of at most four values, list heads and counters, are shown at any depth. At most
/// 65,536 values and 1 MiB of memory make an answer; what that costs is noted. Missing memory is an
/// answer, too, as far as it goes. kNotFound: a type, member or symbol that this kernel lacks;
/// kInvalidArgument: the expression; kUnreadable: NULL was to be followed; kUnsupported: no BTF.
[[nodiscard]] Result<ValueAnswer> ReadValue(Kernel& kernel, std::string_view expression,
                                            const PrintOptions& options = {});

/// As C and crash(8) write it.
[[nodiscard]] std::string ToText(const ValueAnswer& answer);
/// {"address", "space", "pid", "symbol", "value": VALUE, "notes", "incomplete"}; VALUE is {"name",
/// "type", "offset", "bytes", "kind"} and, for its kind, "value" (number, name, text, or address),
/// "number" of an enum, "hex" of a number of 8 bytes, "symbol", "string", "members", "elements",
/// "first", "count"; "cut"; "unreadable"; "bit" and "bits" of a bitfield.
[[nodiscard]] std::string ToJson(const ValueAnswer& answer);

/// A member, or a hole between two.
struct LayoutEntry {
  std::string name;                  ///< empty: an anonymous part, or the whole
  std::string type;                  ///< empty: a hole
  uint64_t offset = 0;               ///< bytes from the beginning of the whole
  uint64_t bytes = 0;                ///< of its type; 0 for a hole
  uint8_t bit = 0;                   ///< bits from `offset` on, of bitfields and holes
  uint64_t bits = 0;                 ///< of a bitfield or hole; 0: neither
  bool is_union = false;             ///< its members share their bytes
  std::vector<LayoutEntry> members;  ///< of anonymous parts, and within the depth; by offset

  [[nodiscard]] bool is_hole() const { return type.empty(); }
};

struct LayoutAnswer {
  LayoutEntry whole;
  std::string within;         ///< the type that a path began in; empty: there was none
  uint64_t at_offset = 0;     ///< of the whole, in `within`
  uint64_t member_count = 0;  ///< the struct's own, and the three that follow
  uint64_t hole_count = 0;
  uint64_t hole_bits = 0;
  uint64_t padding_bits = 0;  ///< after the last member; not a hole
  Findings findings;
};

/// Where the members of a type are: TYPE and a path, without an address. Needs BTF alone. Errors as
/// ReadValue's.
[[nodiscard]] Result<LayoutAnswer> ReadLayout(Kernel& kernel, std::string_view expression,
                                              const PrintOptions& options = {});

/// A table, and a line with the total.
[[nodiscard]] std::string ToText(const LayoutAnswer& answer, const TextStyle& style);
/// {"type", "bytes", "within", "at_offset", "members": [{"name", "type", "offset", "bytes", "bit",
/// "bits", "members", "holes"}], "holes": [{"offset", "bit", "bits"}], "member_count",
/// "hole_bits", "padding_bits", "notes"}
[[nodiscard]] std::string ToJson(const LayoutAnswer& answer);

}  // namespace kcoredump
