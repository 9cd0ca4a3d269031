// SPDX-License-Identifier: MIT
#include <cstdio>
#include <nlohmann/json.hpp>

#include "inspect/json_text.h"
#include "inspect/table.h"
#include "kcoredump/files.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// As /proc/PID/fdinfo writes it.
std::string Octal(uint32_t flags) {
  char text[16];
  std::snprintf(text, sizeof text, "0%o", flags);
  return text;
}

std::string ModeText(const OpenFile& file) {
  if (!file.descriptor) return "-";
  const std::string text = std::string(file.readable ? "r" : "") + (file.writable ? "w" : "");
  return text.empty() ? "-" : text;
}

nlohmann::ordered_json FileJson(const OpenFile& file) {
  nlohmann::ordered_json row;
  row["descriptor"] = file.descriptor ? nlohmann::ordered_json(*file.descriptor) : nullptr;
  row["role"] = TextOrNull(file.role);
  row["type"] = TextOrNull(file.type);
  row["path"] = TextOrNull(file.path);
  row["deleted"] = file.deleted;
  row["readable"] = file.readable;
  row["writable"] = file.writable;
  row["flags"] = Octal(file.flags);
  row["position"] = file.position;
  row["device"] = DeviceText(file.device_major, file.device_minor);
  row["inode"] = file.inode;
  row["address"] = AddressOrNull(file.address);
  return row;
}

}  // namespace

std::string ToText(const OpenFileList& list, const TextStyle& style) {
  Table table({{"FD", true},
               {"TYPE", false},
               {"MODE", false},
               {"POSITION", true},
               {"DEVICE", false},
               {"INODE", true},
               {"PATH", false}});
  for (const OpenFile& file : list.files) {
    const bool has_file = file.address != 0;
    table.AddRow({file.descriptor ? std::to_string(*file.descriptor) : file.role,
                  file.type.empty() ? "?" : file.type, ModeText(file),
                  file.descriptor ? std::to_string(file.position) : "-",
                  has_file ? DeviceText(file.device_major, file.device_minor) : "-",
                  has_file ? std::to_string(file.inode) : "-",
                  file.path + (file.deleted ? " (deleted)" : "")});
  }
  return table.Text(style);
}

std::string ToJson(const OpenFileList& list) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (const OpenFile& file : list.files) files.push_back(FileJson(file));
  return JsonText({{"pid", list.pid},
                   {"comm", list.comm},
                   {"files", std::move(files)},
                   {"notes", list.findings.notes},
                   {"incomplete", list.findings.incomplete}});
}

}  // namespace kcoredump
