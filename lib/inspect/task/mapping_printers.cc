// SPDX-License-Identifier: MIT
#include <cstdio>
#include <nlohmann/json.hpp>

#include "inspect/json_text.h"
#include "inspect/table.h"
#include "kcoredump/maps.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

std::string PermissionText(const Mapping& mapping) {
  std::string text = "---p";
  if (mapping.readable) text[0] = 'r';
  if (mapping.writable) text[1] = 'w';
  if (mapping.executable) text[2] = 'x';
  if (mapping.shared) text[3] = 's';
  return text;
}

nlohmann::ordered_json MappingJson(const Mapping& mapping) {
  return {{"start", HexAddress(mapping.start)},
          {"end", HexAddress(mapping.end)},
          {"permissions", PermissionText(mapping)},
          {"offset", HexAddress(mapping.offset)},
          {"device", DeviceText(mapping.device_major, mapping.device_minor)},
          {"inode", mapping.inode},
          {"name", TextOrNull(mapping.name)},
          {"deleted", mapping.deleted},
          {"file", AddressOrNull(mapping.file)},
          {"address", HexAddress(mapping.address)}};
}

}  // namespace

std::string ToText(const MappingList& list, const TextStyle& style) {
  Table table({{"START", false},
               {"END", false},
               {"PERM", false},
               {"OFFSET", true},
               {"DEVICE", false},
               {"INODE", true},
               {"NAME", false}});
  for (const Mapping& mapping : list.mappings) {
    const bool has_file = mapping.file != 0;
    table.AddRow({HexAddress(mapping.start), HexAddress(mapping.end), PermissionText(mapping),
                  has_file ? Hex(mapping.offset) : "-",
                  has_file ? DeviceText(mapping.device_major, mapping.device_minor) : "-",
                  has_file ? std::to_string(mapping.inode) : "-",
                  mapping.name + (mapping.deleted ? " (deleted)" : "")});
  }
  return table.Text(style);
}

std::string ToJson(const MappingList& list) {
  nlohmann::ordered_json mappings = nlohmann::ordered_json::array();
  for (const Mapping& mapping : list.mappings) mappings.push_back(MappingJson(mapping));
  return JsonText({{"pid", list.pid},
                   {"comm", list.comm},
                   {"mappings", std::move(mappings)},
                   {"notes", list.findings.notes},
                   {"incomplete", list.findings.incomplete}});
}

}  // namespace kcoredump
