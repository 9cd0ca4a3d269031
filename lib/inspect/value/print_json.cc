// SPDX-License-Identifier: MIT
//
// JSON of typed values and layouts.
#include <nlohmann/json.hpp>

#include "inspect/json_text.h"
#include "inspect/value/value_text.h"
#include "kcoredump/print.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

const char* KindName(ValueKind kind) {
  switch (kind) {
    case ValueKind::kNumber:
      return "number";
    case ValueKind::kEnum:
      return "enum";
    case ValueKind::kPointer:
      return "pointer";
    case ValueKind::kText:
      return "text";
    case ValueKind::kStruct:
      return "struct";
    case ValueKind::kUnion:
      return "union";
    case ValueKind::kArray:
      return "array";
    case ValueKind::kOpaque:
      break;
  }
  return "opaque";
}

ordered_json NumberJson(const TypedValue& value) {
  if (!value.number) return Escaped(value.text);  // wider than JSON's readers take
  if (value.is_bool && *value.number <= 1) return *value.number == 1;
  if (value.is_signed) return static_cast<int64_t>(*value.number);
  return *value.number;
}

void AddLeaf(const TypedValue& value, ordered_json& json) {
  switch (value.kind) {
    case ValueKind::kNumber:
      json["value"] = NumberJson(value);
      // Many readers of JSON round numbers past 2^53.
      if (value.bytes == 8 && value.number && value.bitfield_bits == 0) {
        json["hex"] = HexAddress(*value.number);
      }
      break;
    case ValueKind::kEnum:
      json["value"] =
          value.symbol.empty() ? NumberJson(value) : ordered_json(Escaped(value.symbol));
      json["number"] = NumberJson(value);
      break;
    case ValueKind::kPointer:
      json["value"] = HexAddress(value.number.value_or(0));
      json["symbol"] = TextOrNull(Escaped(value.symbol));
      if (value.string) json["string"] = *value.string;
      break;
    default:
      json["value"] = Escaped(value.text);
      break;
  }
}

/// The members and holes of one struct.
void AddMembers(const LayoutEntry& parent, ordered_json& json) {
  json["members"] = ordered_json::array();
  json["holes"] = ordered_json::array();
  for (const LayoutEntry& entry : parent.members) {
    if (entry.is_hole()) {
      json["holes"].push_back({{"offset", entry.offset}, {"bit", entry.bit}, {"bits", entry.bits}});
      continue;
    }
    ordered_json member = {{"name", TextOrNull(Escaped(entry.name))},
                           {"type", Escaped(entry.type)},
                           {"offset", entry.offset},
                           {"bytes", entry.bytes}};
    if (entry.bits != 0) {
      member["bit"] = entry.bit;
      member["bits"] = entry.bits;
    }
    if (!entry.members.empty()) AddMembers(entry, member);
    json["members"].push_back(std::move(member));
  }
}

std::string Dump(const ordered_json& json) {
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

ordered_json ValueJson(const TypedValue& value) {
  ordered_json json;
  if (!value.name.empty()) json["name"] = Escaped(value.name);
  json["type"] = Escaped(value.type);
  json["offset"] = value.offset;
  json["bytes"] = value.bytes;
  if (value.bitfield_bits != 0) {
    json["bit"] = value.bit;
    json["bits"] = value.bitfield_bits;
  }
  json["kind"] = KindName(value.kind);
  const bool array = value.kind == ValueKind::kArray;
  if (value.state != ValueState::kRead) {
    json["value"] = nullptr;
    json["unreadable"] = true;
  } else if (array || value.kind == ValueKind::kStruct || value.kind == ValueKind::kUnion) {
    if (array) {
      json["first"] = value.first;
      json["count"] = value.count;
    }
    ordered_json members = ordered_json::array();
    for (const TypedValue& member : value.members) members.push_back(ValueJson(member));
    json[array ? "elements" : "members"] = std::move(members);
  } else {
    AddLeaf(value, json);
  }
  if (value.cut) json["cut"] = true;
  return json;
}

std::string ToJson(const ValueAnswer& answer) {
  const Target::Space space = answer.at.space;
  const bool process = space == Target::Space::kProcess;
  ordered_json json;
  json["address"] = HexAddress(answer.at.address);
  json["space"] = space == Target::Space::kPhysical ? "physical" : process ? "process" : "kernel";
  json["pid"] = process ? ordered_json(answer.at.pid) : ordered_json();
  json["symbol"] = TextOrNull(Escaped(answer.symbol));
  json["value"] = ValueJson(answer.value);
  json["notes"] = answer.findings.notes;
  json["incomplete"] = answer.findings.incomplete;
  return Dump(json);
}

std::string ToJson(const LayoutAnswer& answer) {
  ordered_json json;
  json["type"] = Escaped(answer.whole.type);
  json["bytes"] = answer.whole.bytes;
  json["within"] = TextOrNull(Escaped(answer.within));
  json["at_offset"] = answer.at_offset;
  if (answer.whole.bits != 0) {
    json["bit"] = answer.whole.bit;
    json["bits"] = answer.whole.bits;
  }
  AddMembers(answer.whole, json);
  json["member_count"] = answer.member_count;
  json["hole_bits"] = answer.hole_bits;
  json["padding_bits"] = answer.padding_bits;
  json["notes"] = answer.findings.notes;
  return Dump(json);
}

}  // namespace kcoredump
