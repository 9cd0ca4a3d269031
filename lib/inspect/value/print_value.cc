// SPDX-License-Identifier: MIT
#include "inspect/value/print_value.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr uint64_t kMaxObjectBytes = 1 << 20;
constexpr size_t kMaxValues = 1 << 16;
constexpr uint64_t kMaxMembersSeen = 1 << 20;
constexpr uint64_t kMaxNumberBytes = 16;
constexpr uint64_t kMaxShownTextBytes = 4096;
/// Of what a char pointer leads to.
constexpr size_t kMaxStringBytes = 256;
/// A struct of so many values is shown at any depth: list_head, atomic_t, rb_node.
constexpr unsigned kSmallValues = 4;
constexpr unsigned kMaxValueNesting = 16;
constexpr size_t kMaxNamed = 4;

/// A member or element, seen from the beginning of the whole.
struct Part {
  std::string_view name;
  TypeRef type;
  uint64_t offset = 0;
  uint8_t bit = 0;
  uint32_t bitfield_bits = 0;
};

uint64_t Plus(uint64_t offset, uint64_t more) {
  return CheckedAdd(offset, more).value_or(~uint64_t{0});
}

/// The `bits` from `bit` on. Bitfields are numbered from the low bits up (kernel:
/// Documentation/bpf/btf.rst, on little-endian machines); one of 64 bits may touch 9 bytes.
uint64_t BitsOf(std::span<const std::byte> bytes, unsigned bit, unsigned bits) {
  uint64_t value = 0;
  for (unsigned i = 0; i < bytes.size() && i * 8 < 64 + bit; ++i) {
    const auto byte = std::to_integer<uint64_t>(bytes[i]);
    value |= i * 8 < bit ? byte >> (bit - i * 8) : byte << (i * 8 - bit);
  }
  return bits >= 64 ? value : value & ((uint64_t{1} << bits) - 1);
}

uint64_t SignExtended(uint64_t value, unsigned bits) {
  if (bits == 0 || bits >= 64) return value;
  const unsigned unused = 64 - bits;
  return static_cast<uint64_t>(static_cast<int64_t>(value << unused) >> unused);
}

/// Up to the first NUL, as C has it. Where no text stands before it the bytes are no C string, and
/// all that are not zero are shown.
std::string_view TextOf(std::string_view all) {
  const std::string_view text = all.substr(0, all.find('\0'));
  if (!text.empty() && Escaped(text) == text) return text;
  return all.substr(0, all.find_last_not_of('\0') + 1);
}

/// Makes the values of one object.
class ValueBuilder {
 public:
  ValueBuilder(const PrintSources& sources, const ObjectBytes& bytes, const PrintOptions& options)
      : sources_(sources),
        types_(sources.types),
        bytes_(bytes),
        options_(options),
        budget_(sources.types) {}

  /// `size` is that of all at the spot.
  TypedValue Build(const Spot& spot, uint64_t size) {
    const Part whole{
        .name = {}, .type = spot.type, .bit = spot.bit, .bitfield_bits = spot.bitfield_bits};
    if (!spot.count) return Value(whole, 0);
    TypedValue out;
    out.type = types_.NameOf(spot.type) + " [" + std::to_string(*spot.count) + "]";
    out.count = *spot.count;
    out.first = spot.first;
    out.bytes = size;
    AddElements(whole, spot.type, 0, out);
    return out;
  }

  /// What is missing from the answer, and what limits cost.
  Findings TakeFindings() {
    Findings findings;
    const auto names = [](const Missing& missing) {
      std::string text;
      for (const std::string& name : missing.names) text += (text.empty() ? "" : ", ") + name;
      const size_t more = missing.count - missing.names.size();
      return more == 0 ? text : text + " and " + std::to_string(more) + " more";
    };
    if (unreadable_.count != 0) {
      findings.Lost(names(unreadable_) + ": cannot be read: " + bytes_.reason());
    }
    if (outside_.count != 0) {
      findings.Lost(names(outside_) +
                    ": not read: past the 1 MiB that are read of one object, or "
                    "outside the type that it belongs to (forged BTF)");
    }
    if (full_ || budget_.spent()) {
      findings.Add("only the first " + Grouped(values_) + " values are shown");
    }
    return findings;
  }

 private:
  struct Missing {
    std::vector<std::string> names;
    size_t count = 0;
  };

  TypedValue Value(const Part& part, unsigned depth) {
    TypedValue out;
    out.name = part.name;
    out.type = types_.NameOf(part.type);
    out.offset = part.offset;
    const auto size = types_.SizeOf(part.type);
    if (size.ok()) out.bytes = size.value();
    ++values_;
    const size_t path_bytes = path_.size();
    if (!part.name.empty()) path_ += (path_.empty() ? "" : ".") + out.name;
    if (IsComposite(types_, part.type)) {
      AddMembersWithin(part, depth, out);
    } else if (types_.KindOf(part.type) == TypeKind::kArray) {
      out.count = types_.Count(part.type);
      AddElements(part, types_.Element(part.type), depth, out);
    } else {
      AddScalar(part, out);
    }
    path_.resize(path_bytes);
    return out;
  }

  [[nodiscard]] bool Full() {
    full_ = full_ || values_ >= kMaxValues;
    return full_ || budget_.spent();
  }

  void Lost(TypedValue& out, ValueState state) {
    out.state = state;
    Missing& missing = state == ValueState::kUnreadable ? unreadable_ : outside_;
    if (missing.count++ < kMaxNamed) missing.names.push_back(path_.empty() ? out.type : path_);
  }

  void AddMembersWithin(const Part& part, unsigned depth, TypedValue& out) {
    const bool is_union = types_.KindOf(part.type) == TypeKind::kUnion;
    out.kind = is_union ? ValueKind::kUnion : ValueKind::kStruct;
    if (IsShown(part.type, depth)) {
      AddMembers(part.type, part.offset, depth + 1, 0, out);
    } else {
      out.cut = true;
    }
  }

  void AddMembers(TypeRef type, uint64_t offset, unsigned depth, unsigned nesting,
                  TypedValue& out) {
    for (const MemberEntry& member : budget_.MembersOf(type)) {
      const uint64_t at = Plus(offset, member.bit_offset / 8);
      if (Full() || nesting > kMaxValueNesting) {
        out.cut = true;
        return;
      }
      if (member.name.empty() && IsComposite(types_, member.type)) {
        AddMembers(member.type, at, depth, nesting + 1, out);
        continue;
      }
      out.members.push_back(Value({.name = member.name,
                                   .type = member.type,
                                   .offset = at,
                                   .bit = static_cast<uint8_t>(member.bit_offset % 8),
                                   .bitfield_bits = member.bitfield_bits},
                                  depth));
    }
    out.cut = out.cut || budget_.spent();
  }

  /// Whether members are shown so deep. Of an array: its elements'.
  [[nodiscard]] bool IsShown(TypeRef type, unsigned depth) {
    for (unsigned i = 0; i < kMaxValueNesting && types_.KindOf(type) == TypeKind::kArray; ++i) {
      type = types_.Element(type);
    }
    return depth < options_.depth || !IsComposite(types_, type) ||
           ValuesIn(type, 0) <= kSmallValues;
  }

  /// Up to kSmallValues + 1.
  unsigned ValuesIn(TypeRef type, unsigned nesting) {
    constexpr unsigned kMany = kSmallValues + 1;
    if (nesting > kMaxValueNesting) return kMany;
    if (types_.KindOf(type) == TypeKind::kArray) {
      if (types_.NumberOf(types_.Element(type)).is_char) return 1;
      const uint64_t count = std::min<uint64_t>(types_.Count(type), kMany);
      if (count == 0) return 0;
      return std::min(static_cast<unsigned>(count) * ValuesIn(types_.Element(type), nesting + 1),
                      kMany);
    }
    if (!IsComposite(types_, type)) return 1;
    unsigned values = 0;
    for (const MemberEntry& member : budget_.MembersOf(type)) {
      values += ValuesIn(member.type, nesting + 1);
      if (values > kSmallValues) return kMany;
    }
    return values;
  }

  /// `out` knows its count.
  void AddElements(const Part& part, TypeRef element, unsigned depth, TypedValue& out) {
    if (types_.NumberOf(element).is_char) return AddText(part.offset, out);
    out.kind = ValueKind::kArray;
    const auto stride = types_.SizeOf(element);
    const uint64_t most = options_.max_elements != 0 ? options_.max_elements : out.count;
    const bool shown = stride.ok() && IsShown(element, depth);
    const uint64_t count = shown ? std::min(out.count, most) : 0;
    for (uint64_t i = 0; i < count && !Full(); ++i) {
      const size_t path_bytes = path_.size();
      path_ += "[" + std::to_string(out.first + i) + "]";
      const auto past = CheckedMultiply(i, stride.value());
      out.members.push_back(Value(
          {.name = {}, .type = element, .offset = Plus(part.offset, past.value_or(~uint64_t{0}))},
          depth));
      path_.resize(path_bytes);
    }
    out.cut = out.members.size() < out.count;
  }

  void AddText(uint64_t offset, TypedValue& out) {
    out.kind = ValueKind::kText;
    const uint64_t bytes = std::min(out.count, kMaxShownTextBytes);
    const ValueState state = bytes_.StateOf(offset, bytes);
    if (state != ValueState::kRead) return Lost(out, state);
    const std::string_view all = AsText(bytes_.At(offset, bytes));
    out.text = TextOf(all);
    out.cut = bytes < out.count && out.text.size() == bytes;
  }

  void AddScalar(const Part& part, TypedValue& out) {
    out.bit = part.bit;
    const bool bitfield = part.bitfield_bits != 0;
    const unsigned bits = bitfield ? part.bitfield_bits : static_cast<unsigned>(out.bytes * 8);
    if (out.bytes == 0 || out.bytes > kMaxNumberBytes ||
        (bitfield && (bits > 64 || bits > out.bytes * 8))) {
      out.text = "a value of no known width";
      return;
    }
    out.bitfield_bits = static_cast<uint8_t>(part.bitfield_bits);
    if (!bitfield) out.bit = 0;
    const uint64_t span = bitfield ? (part.bit + bits + 7) / 8 : out.bytes;
    const ValueState state = bytes_.StateOf(part.offset, span);
    SetKind(part.type, out);
    if (state != ValueState::kRead) return Lost(out, state);
    const auto data = bytes_.At(part.offset, span);
    if (bitfield || out.bytes <= 8) {
      const uint64_t raw = BitsOf(data, out.bit, bits);
      out.number = out.is_signed ? SignExtended(raw, bits) : raw;
    }
    Describe(part.type, data, out);
  }

  void SetKind(TypeRef type, TypedValue& out) const {
    const TypeKind kind = types_.KindOf(type);
    const NumberFormat format = types_.NumberOf(type);
    out.kind = kind == TypeKind::kPointer                               ? ValueKind::kPointer
               : kind == TypeKind::kEnum                                ? ValueKind::kEnum
               : kind == TypeKind::kInteger || kind == TypeKind::kFloat ? ValueKind::kNumber
                                                                        : ValueKind::kOpaque;
    out.is_signed = format.is_signed;
    out.is_char = format.is_char;
    out.is_bool = format.is_bool;
  }

  /// The text of a number; where a pointer leads.
  void Describe(TypeRef type, std::span<const std::byte> data, TypedValue& out) {
    if (out.kind == ValueKind::kPointer && out.number) return DescribePointer(type, out);
    std::vector<std::byte> whole(data.begin(), data.end());
    if (out.number) {
      whole.assign(out.bytes, std::byte{0});
      std::memcpy(whole.data(), &*out.number, std::min<size_t>(out.bytes, 8));
    }
    auto text = types_.Format(type, whole);
    if (text.ok()) {
      out.text = std::move(text.value());
    } else {
      out.kind = ValueKind::kOpaque;
      out.text = text.error().message;
    }
    if (out.kind == ValueKind::kEnum && out.number) {
      out.symbol = types_.EnumeratorName(type, static_cast<int64_t>(*out.number));
    }
    if (types_.KindOf(type) == TypeKind::kFloat) out.number.reset();
  }

  void DescribePointer(TypeRef type, TypedValue& out) const {
    if (*out.number == 0) return;
    if (sources_.names) out.symbol = sources_.names(*out.number);
    const TypeRef pointee = types_.Pointee(type);
    // Names of files (qstr.name) are unsigned; other bytes are u8.
    const bool text_like =
        types_.NumberOf(pointee).is_char || types_.NameOf(pointee).ends_with("unsigned char");
    if (!text_like) return;
    auto text = sources_.pointers.ReadString(*out.number, kMaxStringBytes);
    if (!text.ok() || text.value().size() == kMaxStringBytes) return;
    if (Escaped(text.value()) == text.value()) out.string = std::move(text.value());
  }

  const PrintSources& sources_;
  const TypeCatalog& types_;
  const ObjectBytes& bytes_;
  const PrintOptions& options_;
  TypeBudget budget_;
  size_t values_ = 0;
  bool full_ = false;
  std::string path_;  ///< of the value that is being made
  Missing unreadable_;
  Missing outside_;
};

/// Bytes of what is at a spot.
Result<uint64_t> SizeAt(const TypeCatalog& types, const Spot& spot) {
  KCD_ASSIGN(const uint64_t size, types.SizeOf(spot.type));
  if (spot.count) return CheckedMultiply(size, *spot.count).value_or(~uint64_t{0});
  if (spot.bitfield_bits == 0) return size;
  return (uint64_t{spot.bit} + spot.bitfield_bits + 7) / 8;
}

}  // namespace

bool IsComposite(const TypeCatalog& types, TypeRef type) {
  const TypeKind kind = types.KindOf(type);
  return kind == TypeKind::kStruct || kind == TypeKind::kUnion;
}

std::vector<MemberEntry> TypeBudget::MembersOf(TypeRef type) {
  if (spent_) return {};
  std::vector<MemberEntry> members = types_.MembersOf(type);
  members_ += members.size() + 1;
  spent_ = members_ > kMaxMembersSeen;
  return members;
}

Result<PathAnswer> ReadAlong(const PrintSources& sources, const Spot& from,
                             const std::vector<PathStep>& path, const PrintOptions& options) {
  PathAnswer out;
  Spot spot = from;
  bool lost = false;
  const auto memory = [&]() -> MemoryView& {
    return out.followed ? sources.pointers : sources.memory;
  };
  const FollowPointer follow = [&](const Spot& pointer) -> Result<uint64_t> {
    auto address = memory().ReadValue<uint64_t>(pointer.address);
    lost = !address.ok();
    if (lost) return address;
    if (address.value() == 0) {
      return MakeError(ErrorCode::kUnreadable, "the \"" + sources.types.NameOf(pointer.type) +
                                                   "\" at " + HexAddress(pointer.address) +
                                                   " is NULL: it leads nowhere");
    }
    out.followed = true;
    return address;
  };
  for (const PathStep& step : path) {
    auto next = TakeStep(sources.types, spot, step, follow);
    if (lost) break;  // the pointer itself is what can be said
    if (!next.ok()) return std::move(next.error());
    spot = next.value();
  }
  KCD_ASSIGN(const uint64_t size, SizeAt(sources.types, spot));
  const auto bytes = ObjectBytes::Read(memory(), spot.address, std::min(size, kMaxObjectBytes));
  ValueBuilder builder(sources, bytes, options);
  out.answer.at.address = spot.address;
  out.answer.value = builder.Build(spot, size);
  out.answer.findings = builder.TakeFindings();
  if (!bytes.holes().empty()) out.missing = spot.address + bytes.holes().front().begin;
  return out;
}

}  // namespace kcoredump
