// SPDX-License-Identifier: MIT
//
// Text of typed values and layouts: as C has them, and as pahole does.
#include <algorithm>

#include "inspect/table.h"
#include "inspect/value/value_text.h"
#include "kcoredump/print.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr size_t kIndent = 2;
constexpr size_t kLineColumns = 100;
/// A struct or array of so few values stands in one line.
constexpr size_t kOneLineValues = 4;
/// Larger unsigned numbers are flags or addresses as often as counts.
constexpr uint64_t kLargestPlain = 0xffffffff;

std::string Where(const Target& at) {
  std::string address = HexAddress(at.address);
  if (at.space == Target::Space::kPhysical) return "phys:" + address;
  if (at.space == Target::Space::kProcess) return "pid:" + std::to_string(at.pid) + ":" + address;
  return address;
}

std::string Quoted(const std::string& text, bool cut) {
  return "\"" + Escaped(text) + (cut ? "…\"" : "\"");
}

std::string NumberText(const TypedValue& value) {
  if (value.is_bool && value.number && *value.number <= 1) {
    return *value.number == 1 ? "true" : "false";
  }
  std::string text = Escaped(value.text);
  const bool printable = value.number && *value.number >= 0x20 && *value.number < 0x7f;
  if (value.is_char && printable) {
    return text + " '" + static_cast<char>(*value.number) + "'";
  }
  const bool large = value.number && !value.is_signed && *value.number > kLargestPlain;
  return large ? text + " (" + Hex(*value.number) + ")" : text;
}

std::string PointerText(const TypedValue& value) {
  if (value.number == 0U) return "NULL";
  std::string text = HexAddress(value.number.value_or(0));
  if (!value.symbol.empty()) text += " <" + Escaped(value.symbol) + ">";
  if (value.string) text += " " + Quoted(*value.string, false);
  return text;
}

bool IsTree(const TypedValue& value) {
  return value.state == ValueState::kRead &&
         (value.kind == ValueKind::kStruct || value.kind == ValueKind::kUnion ||
          value.kind == ValueKind::kArray);
}

std::string LeafText(const TypedValue& value) {
  if (value.state == ValueState::kUnreadable) return "<unreadable>";
  if (value.state == ValueState::kNotRead) return "<not read>";
  switch (value.kind) {
    case ValueKind::kNumber:
      return NumberText(value);
    case ValueKind::kPointer:
      return PointerText(value);
    case ValueKind::kText:
      return Quoted(value.text, value.cut);
    case ValueKind::kEnum:
      return Escaped(value.text);
    default:
      return "<" + Escaped(value.text) + ">";
  }
}

size_t Leaves(const TypedValue& value) {
  if (!IsTree(value) || value.members.empty()) return 1;
  size_t count = 0;
  for (const TypedValue& member : value.members) count += Leaves(member);
  return count;
}

/// "name = ", "[3] = " or nothing.
std::string Label(const TypedValue& parent, size_t index, bool numbered) {
  const std::string& name = parent.members[index].name;
  if (parent.kind != ValueKind::kArray) return Escaped(name) + " = ";
  return numbered ? "[" + std::to_string(parent.first + index) + "] = " : "";
}

std::string OneLine(const TypedValue& value) {
  if (!IsTree(value)) return LeafText(value);
  std::string text = "{";
  for (size_t i = 0; i < value.members.size(); ++i) {
    text += (i == 0 ? "" : ", ") + Label(value, i, false) + OneLine(value.members[i]);
  }
  if (value.cut) text += value.members.empty() ? "…" : ", …";
  return text + "}";
}

/// Lines, each member on its own; numbers of an array as many as a line takes.
class TreeText {
 public:
  explicit TreeText(std::string& out) : out_(out) {}

  void Add(const TypedValue& value, size_t indent, bool outermost) {
    const bool few = Leaves(value) <= kOneLineValues && (!outermost || IsPlainArray(value));
    if (!IsTree(value) || value.members.empty() || few) {
      out_ += OneLine(value);
      return;
    }
    out_ += "{\n";
    IsPlainArray(value) ? AddNumbers(value, indent + kIndent) : AddMembers(value, indent + kIndent);
    if (value.cut) out_ += std::string(indent + kIndent, ' ') + Rest(value) + "\n";
    out_ += std::string(indent, ' ') + "}";
  }

 private:
  /// Nothing in it needs a line or an index of its own.
  static bool IsPlainArray(const TypedValue& value) {
    return value.kind == ValueKind::kArray &&
           std::all_of(value.members.begin(), value.members.end(), [](const TypedValue& element) {
             return element.kind == ValueKind::kNumber || element.kind == ValueKind::kEnum;
           });
  }

  static std::string Rest(const TypedValue& value) {
    if (value.kind != ValueKind::kArray) return "…";
    return "… " + Grouped(value.count - value.members.size()) + " more";
  }

  void AddMembers(const TypedValue& value, size_t indent) {
    for (size_t i = 0; i < value.members.size(); ++i) {
      out_ += std::string(indent, ' ') + Label(value, i, true);
      Add(value.members[i], indent, false);
      out_ += i + 1 == value.members.size() && !value.cut ? "\n" : ",\n";
    }
  }

  void AddNumbers(const TypedValue& value, size_t indent) {
    std::string line(indent, ' ');
    for (size_t i = 0; i < value.members.size(); ++i) {
      const std::string number =
          LeafText(value.members[i]) + (i + 1 == value.members.size() && !value.cut ? "" : ",");
      if (line.size() > indent && line.size() + 1 + number.size() > kLineColumns) {
        out_ += line + "\n";
        line.assign(indent, ' ');
      }
      line += (line.size() > indent ? " " : "") + number;
    }
    out_ += line + "\n";
  }

  std::string& out_;
};

std::string Counted(uint64_t count, const char* one, const char* many) {
  return Grouped(count) + " " + (count == 1 ? one : many);
}

std::string BitsText(uint64_t bits) {
  if (bits % 8 == 0) return Counted(bits / 8, "byte", "bytes");
  const std::string rest = Counted(bits % 8, "bit", "bits");
  return bits < 8 ? rest : Counted(bits / 8, "byte", "bytes") + " and " + rest;
}

void AddRows(const LayoutEntry& parent, size_t indent, Table& table) {
  for (const LayoutEntry& entry : parent.members) {
    std::string offset = std::to_string(entry.offset);
    const bool in_bits = entry.bits != 0 && (!entry.is_hole() || entry.bits % 8 != 0);
    if (in_bits) offset += ":" + std::to_string(entry.bit);
    const bool last = &entry == &parent.members.back();
    const std::string name = entry.is_hole()      ? last ? "(padding)" : "(hole)"
                             : entry.name.empty() ? "(anonymous)"
                                                  : entry.name;
    const std::string size = in_bits
                                 ? Counted(entry.bits, "bit", "bits")
                                 : std::to_string(entry.is_hole() ? entry.bits / 8 : entry.bytes);
    table.AddRow({offset, size, std::string(indent, ' ') + name, entry.type});
    AddRows(entry, indent + kIndent, table);
  }
}

}  // namespace

std::string OneLineText(const TypedValue& value) { return OneLine(value); }

std::string ToText(const ValueAnswer& answer) {
  std::string text = "(" + Escaped(answer.value.type) + ") @ " + Where(answer.at);
  if (!answer.symbol.empty()) text += " <" + Escaped(answer.symbol) + ">";
  text += " = ";
  TreeText(text).Add(answer.value, 0, true);
  return text + "\n";
}

std::string ToText(const LayoutAnswer& answer, const TextStyle& style) {
  const LayoutEntry& whole = answer.whole;
  std::string text = Escaped(whole.type);
  if (!answer.within.empty()) {
    text += " at offset " + std::to_string(answer.at_offset);
    if (whole.bits != 0) text += ":" + std::to_string(whole.bit);
    text += " of " + Escaped(answer.within);
  }
  text += ": " + (whole.bits != 0 ? BitsText(whole.bits) : Counted(whole.bytes, "byte", "bytes"));
  if (whole.members.empty()) return text + "\n";
  text += ", " + Counted(answer.member_count, "member", "members");
  if (answer.hole_count != 0) {
    text += ", " + Counted(answer.hole_count, "hole", "holes") + " (" + BitsText(answer.hole_bits) +
            ")";
  }
  if (answer.padding_bits != 0) text += ", padding of " + BitsText(answer.padding_bits);
  Table table({{"OFFSET", true}, {"SIZE", true}, {"MEMBER"}, {"TYPE"}});
  AddRows(whole, 0, table);
  return text + "\n" + table.Text(style);
}

}  // namespace kcoredump
