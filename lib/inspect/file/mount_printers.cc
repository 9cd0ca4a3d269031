// SPDX-License-Identifier: MIT
#include <nlohmann/json.hpp>

#include "inspect/json_text.h"
#include "inspect/table.h"
#include "kcoredump/mounts.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

ordered_json NumberOrNull(uint32_t number) {
  return number == 0 ? ordered_json(nullptr) : ordered_json(number);
}

std::string OptionText(const MountInfo& mount) {
  std::string text;
  for (const std::string& option : mount.options) text += (text.empty() ? "" : ",") + option;
  // The file system's own state matters where it is stricter, as mount(8) shows it.
  for (const std::string& option : mount.super_options) {
    if (option == "rw" || (option == "ro" && text.starts_with("ro"))) continue;
    text += (text.empty() ? "" : ",") + (option == "ro" ? "super-ro" : option);
  }
  if (mount.shared_group != 0) text += ",shared:" + std::to_string(mount.shared_group);
  if (mount.master_group != 0) text += ",master:" + std::to_string(mount.master_group);
  return mount.visible ? text : text + ",hidden";
}

ordered_json MountJson(const MountInfo& mount) {
  return {{"id", mount.id},
          {"parent_id", mount.parent_id},
          {"device", DeviceText(mount.device_major, mount.device_minor)},
          {"root", TextOrNull(mount.root)},
          {"mount_point", TextOrNull(mount.mount_point)},
          {"options", mount.options},
          {"shared_group", NumberOrNull(mount.shared_group)},
          {"master_group", NumberOrNull(mount.master_group)},
          {"type", TextOrNull(mount.type)},
          {"source", TextOrNull(mount.source)},
          {"super_options", mount.super_options},
          {"visible", mount.visible},
          {"address", HexAddress(mount.address)}};
}

}  // namespace

std::string ToText(const MountList& list, const TextStyle& style) {
  Table table({{"ID", true},
               {"PARENT", true},
               {"DEVICE", false},
               {"TYPE", false},
               {"SOURCE", false},
               {"OPTIONS", false},
               {"ROOT", false},
               {"MOUNT POINT", false}});
  for (const MountInfo& mount : list.mounts) {
    table.AddRow({std::to_string(mount.id), std::to_string(mount.parent_id),
                  DeviceText(mount.device_major, mount.device_minor), mount.type, mount.source,
                  OptionText(mount), mount.root, mount.mount_point});
  }
  return table.Text(style);
}

std::string ToJson(const MountList& list) {
  ordered_json mounts = ordered_json::array();
  for (const MountInfo& mount : list.mounts) mounts.push_back(MountJson(mount));
  return JsonText({{"pid", list.pid},
                   {"comm", list.comm},
                   {"namespace", NumberOrNull(list.namespace_inode)},
                   {"mounts", std::move(mounts)},
                   {"notes", list.findings.notes},
                   {"incomplete", list.findings.incomplete}});
}

}  // namespace kcoredump
