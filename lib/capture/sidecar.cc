// SPDX-License-Identifier: MIT
#include "capture/sidecar.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/error.h"
#include "base/output_file.h"
#include "base/range.h"
#include "base/try.h"
#include "capture/report_json.h"
#include "format/raw/format.h"
#include "format/snapshot/format.h"
#include "kcoredump/text.h"
#include "kcoredump/version.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

/// A multiple of 3, so that the pieces' base64 joins up.
constexpr size_t kStepBytes = 48 << 10;

/// Writes a JSON object member by member: kallsyms and BTF are too large to hold twice.
class SidecarFile {
 public:
  explicit SidecarFile(ByteSink& sink) : sink_(sink) {}

  Status Text(std::string_view text) { return sink_.Write(std::as_bytes(std::span(text))); }

  Status Base64(std::span<const std::byte> bytes) {
    for (; bytes.size() > kStepBytes; bytes = bytes.subspan(kStepBytes)) {
      KCD_TRY(Text(EncodeBase64(bytes.first(kStepBytes))));
    }
    return Text(EncodeBase64(bytes));
  }

  /// {"owner", "type", "name", "base64"}, or "json" in its place where the note is JSON.
  Status Add(const Note& note) {
    const bool ours = note.owner == kNoteOwner;
    const ordered_json head = {{"owner", note.owner},
                               {"type", note.type},
                               {"name", ours ? NoteTypeName(note.type) : note.owner}};
    std::string text = head.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    text.pop_back();
    KCD_TRY(Text((first_ ? "\n    " : ",\n    ") + text + ", \"base64\": \""));
    first_ = false;
    KCD_TRY(Base64(note.data));
    return Text("\"}");
  }

 private:
  ByteSink& sink_;
  bool first_ = true;
};

ordered_json HeadOf(const CaptureReport& report, const MemorySource& source) {
  return {{"tool", "kcoredump"},
          {"version", kVersion},
          {"image", report.output.substr(report.output.find_last_of('/') + 1)},
          {"format", report.format},
          {"source", report.source},
          {"machine", MachineName(source.machine())},
          {"status", CaptureStatusName(report.status)},
          {"reason", report.reason.empty() ? ordered_json() : ordered_json(report.reason)},
          {"page_bytes", report.page_bytes},
          {"pages", PagesToJson(report.pages)},
          {"outcomes", RunsToJson(report.runs)}};
}

}  // namespace

Status WriteRanges(const std::string& path, const CaptureReport& report, const MemorySource& source,
                   uint64_t physical_end, bool force) {
  RawRanges ranges{.page_bytes = source.page_bytes(),
                   .machine = source.machine(),
                   .ranges = {},
                   .holes = {},
                   .vmcoreinfo = VmcoreinfoText(source)};
  for (const Range& range : Subtract(source.map().RamRanges(), {{physical_end, ~uint64_t{0}}})) {
    ranges.ranges.push_back({.phys = range, .offset = range.begin});
  }
  for (const PageRun& run : report.runs) {
    if (IsHole(run.outcome)) ranges.holes.push_back(run);
  }
  KCD_ASSIGN(const auto sink, CreateOutputFile(path, force));
  const std::string text = ToJson(ranges);
  KCD_TRY(sink->Write(std::as_bytes(std::span(text))));
  KCD_TRY(sink->Publish(true));
  return {};
}

Status WriteSidecar(const std::string& path, const CaptureReport& report,
                    const MemorySource& source, std::span<const std::byte> vendor_notes,
                    bool force) {
  KCD_ASSIGN(const auto sink, CreateOutputFile(path, force));
  SidecarFile file(*sink);
  std::string head =
      HeadOf(report, source).dump(2, ' ', false, ordered_json::error_handler_t::replace);
  head.resize(head.find_last_not_of("}\n") + 1);
  KCD_TRY(file.Text(head + ",\n  \"notes\": ["));
  const NoteSegment vendor = NoteSegment::Copy(vendor_notes);
  for (const NoteSegment* segment : {&source.notes(), &vendor}) {
    const auto notes = segment->Parse();
    if (!notes.ok()) continue;
    for (const Note& note : notes.value()) KCD_TRY(file.Add(note));
  }
  KCD_TRY(file.Text("\n  ]\n}\n"));
  KCD_TRY(sink->Publish(true));
  return {};
}

}  // namespace kcoredump
