// SPDX-License-Identifier: MIT
//
// Text and JSON of what inspection finds.
#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "inspect/json_text.h"
#include "inspect/table.h"
#include "kcoredump/inspect.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

/// More than a screen of a list is left to --json.
constexpr size_t kMaxListed = 16;

std::string Row(const std::string& name, const std::string& value) {
  std::string row = name + std::string(std::max<size_t>(name.size() + 1, 16) - name.size(), ' ');
  return row + value + "\n";
}

std::string More(size_t total) {
  return total > kMaxListed
             ? "  … and " + Grouped(total - kMaxListed) + " more (all of them with --json)\n"
             : "";
}

std::string SegmentRows(const ImageInfo& info) {
  std::string rows;
  for (size_t i = 0; i < std::min(info.segments.size(), kMaxListed); ++i) {
    const SegmentInfo& segment = info.segments[i];
    std::array<char, 160> line{};
    std::snprintf(line.data(), line.size(), "  %-13s %s  %s  %10s\n",
                  std::string(SegmentKindName(segment.kind)).c_str(),
                  HexAddress(segment.virt).c_str(),
                  segment.phys ? HexAddress(*segment.phys).c_str() : "         -        ",
                  HumanBytes(segment.bytes).c_str());
    rows += line.data();
  }
  return "\n  segment       virtual             physical                  size\n" + rows +
         More(info.segments.size());
}

std::string HoleRows(const ImageInfo& info) {
  if (info.holes.empty()) return {};
  std::string rows = "\n  hole          first page          pages\n";
  for (size_t i = 0; i < std::min(info.holes.size(), kMaxListed); ++i) {
    const PageRun& hole = info.holes[i];
    std::array<char, 160> line{};
    std::snprintf(
        line.data(), line.size(), "  %-13s %s  %s%s\n",
        std::string(PageOutcomeName(hole.outcome)).c_str(), HexAddress(hole.first.address).c_str(),
        Grouped(hole.pages).c_str(),
        hole.system_errno != 0 ? (" (" + ErrnoName(hole.system_errno) + ")").c_str() : "");
    rows += line.data();
  }
  return rows + More(info.holes.size());
}

std::string CpuRows(const ImageInfo& info) {
  if (info.cpus.empty()) return {};
  std::string rows = "\n  cpu      pid  instruction pointer\n";
  for (size_t i = 0; i < std::min(info.cpus.size(), kMaxListed); ++i) {
    const CpuInfo& cpu = info.cpus[i];
    std::array<char, 96> line{};
    std::snprintf(line.data(), line.size(), "  %3u  %7u  %s", cpu.cpu, cpu.pid,
                  HexAddress(cpu.instruction_pointer).c_str());
    rows +=
        std::string(line.data()) + (cpu.symbol.empty() ? "" : "  " + Escaped(cpu.symbol)) + "\n";
  }
  return rows + More(info.cpus.size());
}

std::string NoteRow(const ImageInfo& info) {
  std::string names;
  size_t btf_modules = 0;
  for (const NoteInfo& note : info.notes) {
    if (note.name.starts_with("btf ") && note.name != "btf vmlinux") {
      ++btf_modules;
      continue;
    }
    if (!names.empty()) names += ", ";
    names += note.name.empty() ? note.owner + "/" + std::to_string(note.type) : note.name;
  }
  if (btf_modules != 0) names += ", btf of " + Grouped(btf_modules) + " modules";
  return Row("notes", Escaped(names.empty() ? "none" : names));
}

std::string PageRow(const ImageInfo& info) {
  const PageCounts& pages = info.pages;
  const std::string size = " (" + HumanBytes(info.total_pages * info.page_bytes) + ")";
  if (!info.is_file) return Row("pages", Grouped(info.total_pages) + size);
  std::string text = Grouped(info.total_pages) + size + ": " + Grouped(pages.read());
  if (!info.is_snapshot) {
    text += " in the file";
  } else {
    text += info.outcomes_known ? " read" : " in the file, holes not told from zeros";
  }
  if (info.zero_pages) {
    text += ", of them " + Grouped(*info.zero_pages) + " zero (" +
            Percent(*info.zero_pages, pages.read()) + ")";
  }
  const std::array<std::pair<uint64_t, const char*>, 8> kinds = {
      {{pages.retried, "retried"},
       {pages.bounced, "bounced"},
       {pages.unreadable, "unreadable"},
       {pages.hwpoison, "hwpoison"},
       {pages.offline, "offline"},
       {pages.absent, "absent"},
       {pages.not_reached, "not reached"},
       {pages.excluded, "excluded"}}};
  for (const auto& [count, name] : kinds) {
    if (count != 0) text += ", " + Grouped(count) + " " + name;
  }
  const std::string reasons = DescribeExcluded(info.excluded);
  return Row("pages", text + (reasons.empty() ? "" : " (" + reasons + ")"));
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string FormatRow(const ImageInfo& info) {
  std::vector<std::string> words;
  if (info.format_version) words.push_back("version " + std::to_string(*info.format_version));
  words.push_back(info.compression.empty() ? "not compressed" : Joined(info.compression));
  if (info.dump_level) words.push_back("dump level " + std::to_string(*info.dump_level));
  if (!info.flags.empty()) words.push_back(Joined(info.flags));
  return Row("format", Joined(words));
}

std::string FileRows(const ImageInfo& info) {
  std::string rows = info.is_snapshot ? "" : FormatRow(info);
  for (const std::string& file : info.files) rows += Row("part", Escaped(file));
  rows += Row("complete", info.complete ? "yes" : "NO: " + Escaped(info.incomplete_reason));
  for (const std::string& damage : info.damage) rows += Row("damage", Escaped(damage));
  return rows + (info.is_snapshot ? "" : Row("size", HumanBytes(info.file_bytes)));
}

std::string TextRow(const ordered_json& meta, const char* key, const char* name) {
  const auto found = meta.is_object() ? meta.find(key) : meta.end();
  return found != meta.end() && found->is_string() ? Row(name, Escaped(found->get<std::string>()))
                                                   : "";
}

std::string SnapshotRows(const ImageInfo& info) {
  std::string rows =
      Row("size", HumanBytes(info.file_bytes) + " for " + HumanBytes(info.plain_bytes) + " (" +
                      Percent(info.file_bytes, info.plain_bytes) + ") in " + Grouped(info.frames) +
                      " frames");
  if (!info.base.empty()) {
    const std::string frames =
        info.referenced_frames ? Grouped(*info.referenced_frames) + " frames" : "some frames";
    rows += Row("base", Escaped(info.base) + ", which has " + frames + " of it");
    for (size_t i = 1; i < info.bases.size(); ++i) {
      rows += Row("and its base", Escaped(info.bases[i]));
    }
    if (info.bases.empty()) rows += Row("its identity", info.base_identity);
  }
  if (!info.identity.empty()) rows += Row("identity", info.identity);
  if (info.hashes) rows += Row("hashes", "a SHA-256 for each frame");
  const ordered_json meta = ordered_json::parse(info.meta_json, nullptr, false);
  const ordered_json& captured = CaptureOf(meta);
  rows += TextRow(captured, "host", "host") + TextRow(captured, "started_utc", "captured");
  if (&captured != &meta) rows += TextRow(meta, "started_utc", "converted");
  return rows + TextRow(captured, "version", "by kcoredump") +
         TextRow(captured, "page_flags", "page flags");
}

ordered_json PagesJson(const PageCounts& pages) {
  return {{"total", pages.total()},     {"read", pages.read()},
          {"direct", pages.direct},     {"retried", pages.retried},
          {"bounced", pages.bounced},   {"unreadable", pages.unreadable},
          {"hwpoison", pages.hwpoison}, {"offline", pages.offline},
          {"absent", pages.absent},     {"not_reached", pages.not_reached},
          {"excluded", pages.excluded}};
}

ordered_json SegmentsJson(const ImageInfo& info) {
  ordered_json list = ordered_json::array();
  for (const SegmentInfo& segment : info.segments) {
    ordered_json entry = {{"kind", SegmentKindName(segment.kind)},
                          {"virtual", HexAddress(segment.virt)},
                          {"bytes", segment.bytes}};
    if (segment.phys) entry["physical"] = HexAddress(*segment.phys);
    list.push_back(entry);
  }
  return list;
}

ordered_json HolesJson(const ImageInfo& info) {
  ordered_json list = ordered_json::array();
  for (const PageRun& hole : info.holes) {
    list.push_back(
        {{"physical", HexAddress(hole.first.address)},
         {"pages", hole.pages},
         {"kind", PageOutcomeName(hole.outcome)},
         {"errno", hole.system_errno == 0 ? ordered_json(nullptr)
                                          : ordered_json(ErrnoName(hole.system_errno))}});
  }
  return list;
}

ordered_json NotesJson(const ImageInfo& info) {
  ordered_json list = ordered_json::array();
  for (const NoteInfo& note : info.notes) {
    ordered_json entry = {{"owner", note.owner}, {"type", note.type}, {"bytes", note.bytes}};
    if (!note.name.empty()) entry["name"] = note.name;
    list.push_back(entry);
  }
  return list;
}

ordered_json CpusJson(const ImageInfo& info) {
  ordered_json list = ordered_json::array();
  for (const CpuInfo& cpu : info.cpus) {
    list.push_back({{"cpu", cpu.cpu},
                    {"pid", cpu.pid},
                    {"instruction_pointer", HexAddress(cpu.instruction_pointer)},
                    {"stack_pointer", HexAddress(cpu.stack_pointer)},
                    {"symbol", TextOrNull(cpu.symbol)}});
  }
  return list;
}

template <typename T>
ordered_json ValueOrNull(const std::optional<T>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

void AddFileJson(const ImageInfo& info, ordered_json& object) {
  object["format_version"] = ValueOrNull(info.format_version);
  object["compression"] = info.compression;
  object["flags"] = info.flags;
  object["dump_level"] = ValueOrNull(info.dump_level);
  object["files"] = info.files;
  object["complete"] = info.complete;
  object["reason"] = TextOrNull(info.incomplete_reason);
  object["damage"] = info.damage;
  object["file_bytes"] = info.file_bytes;
}

std::string DumpObject(const ordered_json& object) {
  return object.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace

std::string ToText(const ImageInfo& info) {
  std::string text = Row("image", Escaped(info.path) + " (" + info.format + ")");
  text += Row("kernel", (info.kernel_release.empty() ? "unknown" : Escaped(info.kernel_release)) +
                            " " + info.architecture);
  if (!info.kernel_version.empty()) text += Row("version", Escaped(info.kernel_version));
  text += Row("kaslr offset", info.kaslr_offset ? Hex(*info.kaslr_offset) : "unknown");
  text += PageRow(info);
  if (info.is_file) text += FileRows(info);
  if (info.is_snapshot) text += SnapshotRows(info);
  if (info.register_notes != 0) text += Row("register notes", Grouped(info.register_notes));
  for (const std::string& caveat : info.caveats) text += Row("caveat", Escaped(caveat));
  return text + NoteRow(info) + CpuRows(info) + SegmentRows(info) + HoleRows(info);
}

std::string ToJson(const ImageInfo& info) {
  ordered_json object = {
      {"path", info.path},
      {"format", info.format},
      {"architecture", info.architecture},
      {"kernel",
       {{"release", TextOrNull(info.kernel_release)},
        {"version", TextOrNull(info.kernel_version)}}},
      {"kaslr_offset",
       info.kaslr_offset ? ordered_json(HexAddress(*info.kaslr_offset)) : ordered_json(nullptr)},
      {"page_bytes", info.page_bytes},
      {"pages", info.is_file ? PagesJson(info.pages) : ordered_json{{"total", info.total_pages}}},
      {"register_notes", info.register_notes},
      {"caveats", info.caveats}};
  if (info.zero_pages) object["pages"]["zero"] = *info.zero_pages;
  if (info.is_file) AddFileJson(info, object);
  if (info.is_snapshot) {
    object["outcomes_known"] = info.outcomes_known;
    object["plain_bytes"] = info.plain_bytes;
    object["frames"] = info.frames;
    object["identity"] = TextOrNull(info.identity);
    object["hashes"] = info.hashes;
    object["base"] =
        info.base.empty()
            ? ordered_json(nullptr)
            : ordered_json{{"path", info.base},
                           {"identity", info.base_identity},
                           {"all", info.bases},
                           {"referenced_frames", info.referenced_frames
                                                     ? ordered_json(*info.referenced_frames)
                                                     : ordered_json(nullptr)}};
    object["holes"] = HolesJson(info);
    object["excluded"] = ordered_json::object();
    for (const auto& [name, count] : info.excluded.Named()) object["excluded"][name] = count;
    const ordered_json meta = ordered_json::parse(info.meta_json, nullptr, false);
    object["meta"] = meta.is_object() ? meta : ordered_json(nullptr);
  }
  object["segments"] = SegmentsJson(info);
  object["notes"] = NotesJson(info);
  object["cpus"] = CpusJson(info);
  return DumpObject(object);
}

std::string ToText(const VerifyReport& report) {
  std::string text;
  if (report.frames != 0) {
    text = Row("frames", Grouped(report.frames) + " checked, " + Grouped(report.damaged_frames) +
                             " damaged") +
           Row("content", HumanBytes(report.plain_bytes) + " unpacked and found right");
    if (!report.base.empty()) text += Row("base", Escaped(report.base));
  } else {
    text = Row("pages", Grouped(report.pages.total()) + ": " + Grouped(report.pages.read()) +
                            " read (" + HumanBytes(report.plain_bytes) + "), " +
                            Grouped(report.pages.unreadable) + " damaged, " +
                            Grouped(report.pages.excluded) + " excluded, " +
                            Grouped(report.pages.not_reached) + " not reached");
  }
  text += Row("complete", report.complete ? "yes" : "NO: " + Escaped(report.incomplete_reason));
  if (const uint64_t holes = report.pages.holes(); holes != 0 && report.frames != 0) {
    text += Row("holes", Grouped(holes) + " pages could not be read when captured");
  }
  for (const std::string& damage : report.damage) text += Row("damage", Escaped(damage));
  return text + Row("verdict", report.damage.empty() ? "sound" : "DAMAGED");
}

std::string ToJson(const VerifyReport& report, const std::string& path) {
  return DumpObject({{"path", path},
                     {"sound", report.damage.empty()},
                     {"complete", report.complete},
                     {"reason", TextOrNull(report.incomplete_reason)},
                     {"frames", report.frames},
                     {"damaged_frames", report.damaged_frames},
                     {"plain_bytes", report.plain_bytes},
                     {"base", TextOrNull(report.base)},
                     {"pages", PagesJson(report.pages)},
                     {"damage", report.damage}});
}

}  // namespace kcoredump
