// SPDX-License-Identifier: MIT
#include "kcoredump/report.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/try.h"
#include "inspect/json_text.h"
#include "inspect/picture/html.h"
#include "inspect/picture/markup.h"
#include "inspect/picture/timeline.h"
#include "inspect/session.h"
#include "inspect/task/tasks.h"
#include "kcoredump/inspect.h"
#include "kcoredump/log.h"
#include "kcoredump/map.h"
#include "kcoredump/modules.h"
#include "kcoredump/tasks.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr uint32_t kReportMapSide = 128;
constexpr size_t kTimelineSteps = 90;

std::string Seconds(double seconds) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%.2f s", seconds);
  return text.data();
}

std::string UtcText(uint64_t utc_ns) {
  if (utc_ns == 0) return {};
  const auto seconds = static_cast<time_t>(utc_ns / 1000000000);
  tm parts{};
  std::array<char, 64> text{};
  if (gmtime_r(&seconds, &parts) == nullptr) return {};
  const size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return {text.data(), length};
}

std::string PagesText(uint64_t pages, uint64_t page_bytes) {
  return pages == 0 ? std::string() : Grouped(pages) + " (" + HumanBytes(pages * page_bytes) + ")";
}

/// A text of the metadata of when memory was captured; empty: it has none.
std::string MetaText(const ImageInfo& info, const char* key) {
  const auto parsed = nlohmann::ordered_json::parse(info.meta_json, nullptr, false);
  const auto& meta = CaptureOf(parsed);
  if (!meta.is_object()) return {};
  const auto found = meta.find(key);
  return found != meta.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// Builds the page section by section.
class ReportPage {
 public:
  ReportPage(Kernel& kernel, const ImageInfo& info) : kernel_(kernel), info_(info) {}

  HtmlReport Make() {
    AddSummary();
    AddMap();
    AddTimeline();
    AddProcesses();
    AddModules();
    AddLog();
    AddNotes();
    const std::string host = MetaText(info_, "host");
    const std::string title = "Memory of " + (host.empty() ? info_.path : host);
    report_.html = HtmlDocument(
        title, "<h1>" + MarkupText(title) + "</h1>\n<nav>" + links_ + "</nav>\n" + sections_);
    return std::move(report_);
  }

 private:
  void Add(const std::string& id, const std::string& title, const std::string& body) {
    links_ += "<a href=\"#" + id + "\">" + title + "</a> ";
    sections_ += HtmlSection(id, title, body);
  }
  /// A section that cannot be made says why, and so does the findings' list.
  void AddMissing(const std::string& id, const std::string& title, const Error& error) {
    report_.findings.Add(title + " cannot be shown: " + error.message);
    Add(id, title, HtmlParagraph("Not to be told: " + error.message));
  }
  void Take(const Findings& findings) {
    for (const std::string& note : findings.notes) report_.findings.Add(note);
    report_.findings.incomplete |= findings.incomplete;
  }
  void AddSummary();
  void AddMap();
  void AddTimeline();
  void AddProcesses();
  void AddModules();
  void AddLog();
  void AddNotes();

  Kernel& kernel_;
  const ImageInfo& info_;
  HtmlReport report_;
  std::string links_;
  std::string sections_;
};

void ReportPage::AddSummary() {
  const PageCounts& pages = info_.pages;
  const auto counted = [&](uint64_t count) { return PagesText(count, info_.page_bytes); };
  std::string state = "the live kernel";
  if (info_.is_file) state = info_.complete ? "yes" : "no: " + info_.incomplete_reason;
  Add("kernel", "Kernel and image",
      HtmlFacts({{"image", info_.path},
                 {"format", info_.format},
                 {"complete", state},
                 {"host", MetaText(info_, "host")},
                 {"captured", MetaText(info_, "started_utc")},
                 {"kernel", info_.kernel_release},
                 {"architecture", info_.architecture},
                 {"version", info_.kernel_version},
                 {"KASLR offset", info_.kaslr_offset ? Hex(*info_.kaslr_offset) : std::string()},
                 {"boot id", MetaText(info_, "boot_id")},
                 {"lockdown", MetaText(info_, "lockdown")},
                 {"RAM", counted(info_.total_pages)},
                 {"pages read", counted(pages.read())},
                 {"of them zero", info_.zero_pages ? counted(*info_.zero_pages) : std::string()},
                 {"retried or bounced", counted(pages.retried + pages.bounced)},
                 {"unreadable", counted(pages.unreadable)},
                 {"poisoned", counted(pages.hwpoison)},
                 {"offline", counted(pages.offline)},
                 {"absent", counted(pages.absent)},
                 {"not reached", counted(pages.not_reached)},
                 {"excluded", counted(pages.excluded)},
                 {"file", info_.is_file ? HumanBytes(info_.file_bytes) : std::string()}}));
}

void ReportPage::AddMap() {
  const auto picture =
      DrawMemory(kernel_, {.by = MapBy::kClass, .width = kReportMapSide, .height = kReportMapSide});
  if (!picture.ok()) return AddMissing("map", "Physical memory", picture.error());
  Take(picture.value().findings);
  Add("map", "Physical memory", ToSvg(picture.value()));
}

void ReportPage::AddTimeline() {
  const auto found = TimelineOf(kernel_.session(), kTimelineSteps);
  if (!found.ok()) {
    return Add("timeline", "The capture's course", HtmlParagraph(found.error().message));
  }
  const CaptureTimeline& timeline = found.value();
  uint64_t bytes = 0;
  uint64_t retried = 0;
  uint64_t holes = 0;
  for (const CaptureTimeline::Step& step : timeline.steps) {
    bytes += step.bytes;
    retried += step.retried_pages;
    holes += step.hole_pages;
  }
  const auto rate = [](double value) {
    return HumanBytes(static_cast<uint64_t>(std::min(value, 1e18))) + "/s";
  };
  HtmlTable table({{"FIRST PAGE"}, {"PAGES", true}, {"OUTCOME"}, {"ERRNO", true}});
  for (const PageRun& hole : info_.holes) {
    table.AddRow({HexAddress(hole.first.address), Grouped(hole.pages),
                  std::string(PageOutcomeName(hole.outcome)),
                  hole.system_errno == 0 ? "" : std::to_string(hole.system_errno)});
  }
  Add("timeline", "The capture's course",
      TimelineSvg(timeline) +
          HtmlFacts({{"began", UtcText(timeline.started_utc_ns)},
                     {"ended", UtcText(timeline.ended_utc_ns)},
                     {"memory was read within", Seconds(timeline.seconds())},
                     {"mean rate", rate(static_cast<double>(bytes) / timeline.seconds())},
                     {"highest rate", rate(timeline.PeakRate())},
                     {"pages retried", Grouped(retried)},
                     {"pages not read", Grouped(holes)}}) +
          (info_.holes.empty() ? std::string() : table.Html()));
}

void ReportPage::AddProcesses() {
  const auto list = ListTasks(kernel_, {});
  if (!list.ok()) return AddMissing("processes", "Processes", list.error());
  Take(list.value().findings);
  HtmlTable table({{"PID", true},
                   {"PPID", true},
                   {"UID", true},
                   {"S"},
                   {"CPU", true},
                   {"START", true},
                   {"RSS", true},
                   {"NAME"},
                   {"COMMAND"}});
  for (const Task& task : list.value().tasks) {
    table.AddRow({std::to_string(task.pid), std::to_string(task.ppid),
                  task.uid ? std::to_string(*task.uid) : "", std::string(1, task.state),
                  task.cpu ? std::to_string(*task.cpu) : "",
                  task.start_ns ? Seconds(static_cast<double>(*task.start_ns) / 1e9) : "",
                  task.rss_bytes ? HumanBytes(*task.rss_bytes) : "", task.comm,
                  CommandOf(task, false)});
  }
  Add("processes", "Processes", table.Html());
}

void ReportPage::AddModules() {
  const auto found = ListModules(kernel_);
  if (!found.ok()) return AddMissing("modules", "Modules", found.error());
  Take(found.value().findings);
  HtmlTable table({{"NAME"}, {"BASE"}, {"SIZE", true}, {"STATE"}, {"TAINTS"}, {"USERS"}});
  for (const ModuleInfo& module : found.value().modules) {
    std::string users;
    for (const std::string& user : module.users) users += (users.empty() ? "" : ", ") + user;
    table.AddRow({module.name, HexAddress(module.base), HumanBytes(module.size_bytes), module.state,
                  module.taints, users});
  }
  Add("modules", "Modules", table.Html());
}

void ReportPage::AddLog() {
  const auto log = ReadLog(kernel_);
  if (!log.ok()) return AddMissing("log", "Log", log.error());
  Take(log.value().findings);
  Add("log", "Log", HtmlLines(ToText(log.value())));
}

void ReportPage::AddNotes() {
  std::string body;
  for (const std::string& damage : info_.damage) body += HtmlParagraph(damage);
  for (const std::string& note : report_.findings.notes) body += HtmlParagraph(note);
  for (const std::string& caveat : kernel_.Caveats()) body += HtmlParagraph(caveat);
  if (!body.empty()) Add("notes", "What weakens this report", body);
}

}  // namespace

Result<HtmlReport> MakeReport(Kernel& kernel, const std::string& path) {
  KCD_ASSIGN(const ImageInfo info, Describe(path));
  return ReportPage(kernel, info).Make();
}

}  // namespace kcoredump
