// SPDX-License-Identifier: MIT
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "capture/system_notes.h"
#include "kcoredump/capture.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

/// A report of millions of holes helps nobody; the snapshot's own map has them all.
constexpr size_t kMaxListedHoles = 1000;

std::string_view StatusName(CaptureStatus status) {
  switch (status) {
    case CaptureStatus::kComplete:
      return "complete";
    case CaptureStatus::kCompleteWithHoles:
      return "complete-with-holes";
    case CaptureStatus::kPartial:
      return "partial";
  }
  return "partial";
}

std::string_view PageFlagsName(PageFlagsState state) {
  switch (state) {
    case PageFlagsState::kUsed:
      return "used";
    case PageFlagsState::kUnavailable:
      return "unavailable";
    case PageFlagsState::kNotApplicable:
      return "not-applicable";
  }
  return "unavailable";
}

std::string_view PhaseName(CapturePhase phase) {
  switch (phase) {
    case CapturePhase::kPreparing:
      return "preparing";
    case CapturePhase::kReading:
      return "reading";
    case CapturePhase::kFinishing:
      return "finishing";
  }
  return "reading";
}

ordered_json Holes(const std::vector<PageRun>& runs) {
  ordered_json holes = ordered_json::array();
  for (const PageRun& run : runs) {
    if (!IsHole(run.outcome)) continue;
    if (holes.size() == kMaxListedHoles) break;
    holes.push_back({{"physical", HexAddress(run.first.address)},
                     {"pages", run.pages},
                     {"kind", PageOutcomeName(run.outcome)},
                     {"errno", run.system_errno == 0 ? ordered_json(nullptr)
                                                     : ordered_json(ErrnoName(run.system_errno))}});
  }
  return holes;
}

std::string Dump(const ordered_json& object, int indent) {
  return object.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace

int ExitStatus(const CaptureReport& report) {
  switch (report.status) {
    case CaptureStatus::kComplete:
      return 0;
    case CaptureStatus::kCompleteWithHoles:
      return 3;
    case CaptureStatus::kPartial:
      return 5;
  }
  return 5;
}

std::string ToJson(const CaptureReport& report) {
  const PageCounts& pages = report.pages;
  const ordered_json object = {
      {"status", StatusName(report.status)},
      {"exit_status", ExitStatus(report)},
      {"reason", report.reason.empty() ? ordered_json(nullptr) : ordered_json(report.reason)},
      {"source", report.source},
      {"output", report.output},
      {"plain_bytes", report.plain_bytes},
      {"expected_bytes", report.expected_bytes},
      {"compressed_bytes", report.compressed_bytes},
      {"seconds", report.seconds},
      {"page_bytes", report.page_bytes},
      {"pages",
       {{"total", pages.total()},
        {"read", pages.read()},
        {"direct", pages.direct},
        {"retried", pages.retried},
        {"bounced", pages.bounced},
        {"unreadable", pages.unreadable},
        {"hwpoison", pages.hwpoison},
        {"offline", pages.offline},
        {"absent", pages.absent},
        {"not_reached", pages.not_reached},
        {"zero", report.zero_pages}}},
      {"holes", Holes(report.runs)},
      {"iomem",
       {{"state", IomemStateName(report.iomem.state)}, {"differences", report.iomem.differences}}},
      {"kallsyms", KallsymsStateName(report.kallsyms)},
      {"page_flags", PageFlagsName(report.page_flags)},
      {"lockdown", report.lockdown},
      {"layout_moves", report.layout_moves},
      {"around_page_cache", report.around_page_cache},
      {"threads", report.threads},
      {"level", report.level},
      {"frame_size", report.frame_bytes},
      {"warnings", report.warnings}};
  return Dump(object, 2);
}

std::string FailureToJson(const std::string& message, int exit_status) {
  return Dump({{"status", "failed"}, {"exit_status", exit_status}, {"error", message}}, 2);
}

std::string MessageToJson(const std::string& message) {
  return Dump(ordered_json{{"message", message}}, -1);
}

std::string ToJson(const CaptureProgress& progress) {
  const ordered_json object = {
      {"phase", PhaseName(progress.phase)},  {"done_bytes", progress.done_bytes},
      {"total_bytes", progress.total_bytes}, {"compressed_bytes", progress.compressed_bytes},
      {"hole_pages", progress.hole_pages},   {"seconds", progress.seconds}};
  return Dump(object, -1);
}

}  // namespace kcoredump
