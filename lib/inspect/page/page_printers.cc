// SPDX-License-Identifier: MIT

#include "inspect/json_text.h"
#include "kcoredump/pages.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

std::string PageLine(const char* title, const std::string& text) {
  std::string line = title;
  line.resize(12, ' ');
  return line + text + "\n";
}

std::string FileText(const PageFile& file) {
  const std::string path = file.path.empty() ? "inode " + std::to_string(file.inode) : file.path;
  return Escaped(path) + (file.deleted ? " (deleted)" : "") + " at " + Hex(file.offset) +
         ", device " + DeviceText(file.device_major, file.device_minor) + ", inode " +
         std::to_string(file.inode);
}

std::string CompoundText(const PageAnswer& answer) {
  std::string text = "order " + std::to_string(answer.order);
  if (answer.head != answer.address) text += ", a tail of " + HexAddress(answer.head);
  return text;
}

ordered_json PageFileJson(const PageFile& file) {
  return {{"path", TextOrNull(file.path)},
          {"deleted", file.deleted},
          {"device", DeviceText(file.device_major, file.device_minor)},
          {"inode", file.inode},
          {"offset", file.offset}};
}

}  // namespace

std::string ToText(const PageAnswer& answer) {
  std::string flags;
  for (const std::string& name : answer.flag_names) flags += (flags.empty() ? "" : " ") + name;
  std::string text = PageLine("PHYSICAL", HexAddress(answer.physical));
  text += PageLine("STRUCT PAGE", HexAddress(answer.address));
  text += PageLine("KIND", std::string(PageKindName(answer.kind)));
  text += PageLine("FLAGS", Hex(answer.flags) + (flags.empty() ? "" : " " + flags));
  text += PageLine("REFCOUNT", std::to_string(answer.refcount));
  text += PageLine("MAPCOUNT", std::to_string(answer.mapcount));
  if (answer.order != 0 || answer.head != answer.address) {
    text += PageLine("COMPOUND", CompoundText(answer));
  }
  if (answer.free_order)
    text += PageLine("FREE BLOCK", "order " + std::to_string(*answer.free_order));
  if (answer.mapping != 0) {
    text +=
        PageLine("MAPPING", HexAddress(answer.mapping) + (answer.anonymous ? " (anonymous)" : ""));
  }
  if (answer.file) text += PageLine("FILE", FileText(*answer.file));
  for (const PageMapper& mapper : answer.mapped_by) {
    text += PageLine("MAPPED BY", std::to_string(mapper.pid) + " " + Escaped(mapper.comm) + " at " +
                                      HexAddress(mapper.address));
  }
  if (answer.slab) {
    text += PageLine("SLAB", Escaped(answer.slab->cache.name) + ", object " +
                                 std::to_string(answer.slab->index) + " at " +
                                 HexAddress(answer.slab->object) + ", " + Hex(answer.slab->offset) +
                                 " bytes into it");
  }
  return text;
}

std::string ToJson(const PageAnswer& answer) {
  ordered_json mappers = ordered_json::array();
  for (const PageMapper& mapper : answer.mapped_by) {
    mappers.push_back(
        {{"pid", mapper.pid}, {"comm", mapper.comm}, {"address", HexAddress(mapper.address)}});
  }
  ordered_json slab = nullptr;
  if (answer.slab) {
    slab = {{"cache", TextOrNull(answer.slab->cache.name)},
            {"address", HexAddress(answer.slab->object)},
            {"index", answer.slab->index},
            {"offset", answer.slab->offset}};
  }
  return JsonText(
      {{"physical", HexAddress(answer.physical)},
       {"address", HexAddress(answer.address)},
       {"head", HexAddress(answer.head)},
       {"order", answer.order},
       {"kind", PageKindName(answer.kind)},
       {"free_order", answer.free_order ? ordered_json(*answer.free_order) : ordered_json(nullptr)},
       {"flags", HexAddress(answer.flags)},
       {"flag_names", answer.flag_names},
       {"refcount", answer.refcount},
       {"mapcount", answer.mapcount},
       {"mapping", AddressOrNull(answer.mapping)},
       {"anonymous", answer.anonymous},
       {"file", answer.file ? PageFileJson(*answer.file) : ordered_json(nullptr)},
       {"mapped_by", std::move(mappers)},
       {"slab", std::move(slab)},
       {"notes", answer.findings.notes},
       {"incomplete", answer.findings.incomplete}});
}

}  // namespace kcoredump
