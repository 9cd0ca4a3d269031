// SPDX-License-Identifier: MIT
#include "capture/report_json.h"

#include <limits>

#include "base/error.h"
#include "capture/system_notes.h"
#include "kcoredump/capture.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

/// A report of millions of holes helps nobody; the snapshot's own map has them all.
constexpr size_t kMaxListedHoles = 1000;

std::string_view PhaseName(CapturePhase phase) {
  switch (phase) {
    case CapturePhase::kPreparing:
      return "preparing";
    case CapturePhase::kReading:
      return "reading";
    case CapturePhase::kComparing:
      return "comparing";
    case CapturePhase::kFinishing:
      return "finishing";
  }
  return "reading";
}

ordered_json RunToJson(const PageRun& run) {
  ordered_json object = {
      {"physical", HexAddress(run.first.address)},
      {"pages", run.pages},
      {"kind", PageOutcomeName(run.outcome)},
      {"errno",
       run.system_errno == 0 ? ordered_json(nullptr) : ordered_json(ErrnoName(run.system_errno))}};
  if (run.page_class != PageClass::kNone) object["class"] = PageClassName(run.page_class);
  return object;
}

std::string Dump(const ordered_json& object, int indent) {
  return object.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json ShareToJson(const SmearShare& share) {
  return {{"share", share.share}, {"low", share.low}, {"high", share.high}};
}

ordered_json SmearToJson(const std::optional<SmearReport>& smear) {
  if (!smear) return nullptr;
  ordered_json classes = ordered_json::array();
  for (const SmearClass& of : smear->classes) {
    classes.push_back({{"class", PageKindName(of.kind)},
                       {"sampled_pages", of.sampled_pages},
                       {"changed_pages", of.changed_pages},
                       {"changed", ShareToJson(of.changed)}});
  }
  return {{"sampled_pages", smear->sampled_pages},
          {"changed_pages", smear->changed_pages},
          {"changed", ShareToJson(smear->changed)},
          {"seconds_between", smear->seconds_between},
          {"classes", std::move(classes)}};
}

ordered_json TextOrNull(const std::string& text) {
  return text.empty() ? ordered_json(nullptr) : ordered_json(text);
}

ordered_json ProgressToJson(const CaptureProgress& progress) {
  return {{"phase", PhaseName(progress.phase)},  {"done_bytes", progress.done_bytes},
          {"total_bytes", progress.total_bytes}, {"compressed_bytes", progress.compressed_bytes},
          {"hole_pages", progress.hole_pages},   {"seconds", progress.seconds}};
}

std::string_view EventName(CaptureEvent::Kind kind) {
  switch (kind) {
    case CaptureEvent::Kind::kStart:
      return "start";
    case CaptureEvent::Kind::kProgress:
      return "progress";
    case CaptureEvent::Kind::kHole:
      return "hole";
    case CaptureEvent::Kind::kWarning:
      return "warning";
    case CaptureEvent::Kind::kFinish:
      return "finish";
  }
  return "progress";
}

ordered_json BaseToJson(const CaptureReport& report) {
  if (report.base.empty()) return nullptr;
  return {{"name", report.base},
          {"referenced_frames", report.referenced_frames},
          {"referenced_bytes", report.referenced_bytes}};
}

ordered_json FinishToJson(const CaptureEvent& event) {
  if (event.report == nullptr) return {{"status", "failed"}, {"reason", event.text}};
  const CaptureReport& report = *event.report;
  return {{"status", CaptureStatusName(report.status)},
          {"reason", TextOrNull(report.reason)},
          {"output", report.output},
          {"sidecar", TextOrNull(report.sidecar)},
          {"plain_bytes", report.plain_bytes},
          {"compressed_bytes", report.compressed_bytes},
          {"base", BaseToJson(report)},
          {"pages", PagesToJson(report.pages)}};
}

}  // namespace

std::string_view CaptureStatusName(CaptureStatus status) {
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

ordered_json PagesToJson(const PageCounts& pages) {
  return {{"total", pages.total()},     {"read", pages.read()},
          {"direct", pages.direct},     {"retried", pages.retried},
          {"bounced", pages.bounced},   {"unreadable", pages.unreadable},
          {"hwpoison", pages.hwpoison}, {"offline", pages.offline},
          {"absent", pages.absent},     {"not_reached", pages.not_reached},
          {"excluded", pages.excluded}};
}

ordered_json HolesToJson(const std::vector<PageRun>& runs, size_t most) {
  ordered_json holes = ordered_json::array();
  for (const PageRun& run : runs) {
    if (!IsFailure(run.outcome)) continue;
    if (holes.size() == most) break;
    holes.push_back(RunToJson(run));
  }
  return holes;
}

ordered_json RunsToJson(const std::vector<PageRun>& runs) {
  ordered_json list = ordered_json::array();
  for (const PageRun& run : runs) list.push_back(RunToJson(run));
  return list;
}

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
  ordered_json pages = PagesToJson(report.pages);
  pages["zero"] = report.zero_pages;
  ordered_json excluded = ordered_json::object();
  for (const auto& [name, count] : report.excluded.Named()) excluded[name] = count;
  const ordered_json object = {
      {"status", CaptureStatusName(report.status)},
      {"exit_status", ExitStatus(report)},
      {"reason", TextOrNull(report.reason)},
      {"source", report.source},
      {"output", report.output},
      {"format", report.format},
      {"sidecar", TextOrNull(report.sidecar)},
      {"plain_bytes", report.plain_bytes},
      {"expected_bytes", report.expected_bytes},
      {"compressed_bytes", report.compressed_bytes},
      {"base", BaseToJson(report)},
      {"seconds", report.seconds},
      {"page_bytes", report.page_bytes},
      {"pages", pages},
      {"excluded", excluded},
      {"holes", HolesToJson(report.runs, kMaxListedHoles)},
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
      {"order", report.order == CaptureOrder::kVolatile ? "volatile" : "physical"},
      {"early_bytes", report.early_bytes},
      {"smear", SmearToJson(report.smear)},
      {"footprint",
       {{"cpu_seconds", report.footprint.cpu_seconds},
        {"peak_rss_bytes", report.footprint.peak_rss_bytes},
        {"dirtied_pages", report.footprint.dirtied_pages},
        {"page_cache_bytes", report.footprint.page_cache_bytes}}},
      {"warnings", report.warnings}};
  return Dump(object, 2);
}

std::string FailureToJson(const std::string& message, int exit_status) {
  return Dump({{"status", "failed"}, {"exit_status", exit_status}, {"error", message}}, 2);
}

std::string MessageToJson(const std::string& message) {
  return Dump(ordered_json{{"message", message}}, -1);
}

std::string ToJson(const CaptureProgress& progress) { return Dump(ProgressToJson(progress), -1); }

std::string ToJson(const CaptureEvent& event) {
  ordered_json object = {{"event", EventName(event.kind)}, {"utc_us", event.utc_ns / 1000}};
  switch (event.kind) {
    case CaptureEvent::Kind::kStart:
      object.update({{"seconds", event.progress.seconds},
                     {"source", event.report->source},
                     {"output", event.report->output},
                     {"format", event.report->format},
                     {"total_bytes", event.progress.total_bytes}});
      break;
    case CaptureEvent::Kind::kProgress:
      object.update(ProgressToJson(event.progress));
      break;
    case CaptureEvent::Kind::kHole:
      object["seconds"] = event.progress.seconds;
      object.update(RunToJson(event.hole));
      break;
    case CaptureEvent::Kind::kWarning:
      object.update({{"seconds", event.progress.seconds}, {"text", event.text}});
      break;
    case CaptureEvent::Kind::kFinish:
      object["seconds"] = event.progress.seconds;
      object.update(FinishToJson(event));
      break;
  }
  return Dump(object, -1);
}

}  // namespace kcoredump
