// SPDX-License-Identifier: MIT
#include "inspect/json_text.h"
#include "kcoredump/strings.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

std::string StringOwnerText(const FoundString& found) {
  if (found.file) {
    const std::string path =
        found.file->path.empty() ? "inode " + std::to_string(found.file->inode) : found.file->path;
    return path + "+" + Hex(found.file->offset);
  }
  if (!found.mapped_by.empty()) {
    const PageMapper& first = found.mapped_by.front();
    const size_t more = found.mapped_by.size() - 1;
    return first.comm + "[" + std::to_string(first.pid) + "]:" + Hex(first.address) +
           (more == 0 ? "" : " and " + std::to_string(more) + " more");
  }
  if (found.kind == PageKind::kSlab && !found.slab_cache.empty()) return "slab " + found.slab_cache;
  if (!found.symbol.empty()) return found.symbol;
  const std::string kind(PageKindName(found.kind));
  return found.virt ? kind + " " + HexAddress(*found.virt) : kind;
}

}  // namespace

std::string ToText(const FoundString& found) {
  return HexAddress(found.physical) + "  " + Escaped(StringOwnerText(found)) + "  " +
         (found.wide ? "L " : "") + Escaped(found.text) + "\n";
}

std::string ToJson(const FoundString& found) {
  ordered_json mappers = ordered_json::array();
  for (const PageMapper& mapper : found.mapped_by) {
    mappers.push_back(
        {{"pid", mapper.pid}, {"comm", mapper.comm}, {"address", HexAddress(mapper.address)}});
  }
  ordered_json file = nullptr;
  if (found.file) {
    file = {{"path", TextOrNull(found.file->path)},
            {"deleted", found.file->deleted},
            {"device", DeviceText(found.file->device_major, found.file->device_minor)},
            {"inode", found.file->inode},
            {"offset", found.file->offset}};
  }
  const ordered_json row = {
      {"physical", HexAddress(found.physical)},
      {"encoding", found.wide ? "utf-16le" : "ascii"},
      {"text", found.text},
      {"kind", PageKindName(found.kind)},
      {"file", std::move(file)},
      {"mapped_by", std::move(mappers)},
      {"slab_cache", TextOrNull(found.slab_cache)},
      {"virtual", found.virt ? ordered_json(HexAddress(*found.virt)) : ordered_json(nullptr)},
      {"symbol", TextOrNull(found.symbol)}};
  return row.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::string ToJson(const StringsReport& report) {
  const ordered_json row = {{"count", report.strings},
                            {"total_bytes", report.total_bytes},
                            {"searched_bytes", report.searched_bytes},
                            {"hole_bytes", report.hole_bytes},
                            {"complete", report.complete},
                            {"notes", report.findings.notes},
                            {"incomplete", report.findings.incomplete}};
  return row.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace kcoredump
