// SPDX-License-Identifier: MIT
#include "inspect/picture/timeline.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/error.h"
#include "format/snapshot/reader.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr double kShortestMs = 1;
constexpr unsigned kChartWidth = 900;
constexpr unsigned kChartHeight = 160;
constexpr unsigned kChartLeft = 100;
constexpr unsigned kChartTop = 20;
constexpr unsigned kMarkHeight = 10;

/// Which step the memory at a place of the image was read in.
class Clock {
 public:
  Clock(const SnapshotFile& file, size_t steps) : file_(file), steps_(steps) {
    const auto& times = file.trailer()->frame_ms;
    if (!times.empty()) last_ms_ = *std::max_element(times.begin(), times.end());
  }
  [[nodiscard]] double step_seconds() const {
    return std::max<double>(last_ms_, kShortestMs) / 1e3 / static_cast<double>(steps_);
  }
  [[nodiscard]] size_t StepOf(const FrameSpan& frame) const {
    const auto index = static_cast<size_t>(&frame - file_.frames().data());
    const auto& times = file_.trailer()->frame_ms;
    if (index >= times.size()) return 0;
    return std::min<size_t>(uint64_t{times[index]} * steps_ / (uint64_t{last_ms_} + 1), steps_ - 1);
  }

 private:
  const SnapshotFile& file_;
  size_t steps_;
  uint32_t last_ms_ = 0;
};

/// The pages of a run, frame by frame.
void AddRun(const SnapshotSource& source, const Clock& clock, const PageRun& run,
            CaptureTimeline& out) {
  const uint64_t page = source.page_bytes();
  for (uint64_t done = 0; done < run.pages;) {
    const auto extent = source.map().Find(PhysAddr{run.first.address + done * page});
    const FrameSpan* frame =
        extent && extent->in_file ? source.file().FrameAt(extent->offset) : nullptr;
    if (frame == nullptr) return;
    const uint64_t left = frame->plain_offset + frame->content_bytes - extent->offset;
    const uint64_t pages = std::clamp<uint64_t>(left / page, 1, run.pages - done);
    CaptureTimeline::Step& step = out.steps[clock.StepOf(*frame)];
    (IsHole(run.outcome) ? step.hole_pages : step.retried_pages) += pages;
    done += pages;
  }
}

std::string Decimals(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f", value);
  return text.data();
}

std::string Bar(double x, double y, double width, double height, const char* css_class,
                const std::string& title) {
  return "<rect class=\"" + std::string(css_class) + "\" x=\"" + Decimals(x) + "\" y=\"" +
         Decimals(y) + "\" width=\"" + Decimals(width) + "\" height=\"" + Decimals(height) +
         "\"><title>" + title + "</title></rect>\n";
}

std::string Axis(const CaptureTimeline& timeline) {
  const auto text = [](unsigned x, unsigned y, const char* anchor, const std::string& label) {
    return "<text x=\"" + std::to_string(x) + "\" y=\"" + std::to_string(y) + "\" text-anchor=\"" +
           anchor + "\">" + label + "</text>\n";
  };
  const unsigned bottom = kChartTop + kChartHeight;
  return "<path class=\"axis\" d=\"M" + std::to_string(kChartLeft) + " " +
         std::to_string(kChartTop) + "v" + std::to_string(kChartHeight) + "h" +
         std::to_string(kChartWidth) + "\"/>\n" +
         text(kChartLeft - 6, kChartTop + 10, "end",
              HumanBytes(static_cast<uint64_t>(timeline.PeakRate())) + "/s") +
         text(kChartLeft - 6, bottom, "end", "0") + text(kChartLeft, bottom + 30, "start", "0 s") +
         text(kChartLeft + kChartWidth, bottom + 30, "end", Decimals(timeline.seconds()) + " s");
}

}  // namespace

double CaptureTimeline::PeakRate() const {
  uint64_t most = 0;
  for (const Step& step : steps) most = std::max(most, step.bytes);
  return step_seconds > 0 ? static_cast<double>(most) / step_seconds : 0;
}

Result<CaptureTimeline> TimelineOf(const Session& session, size_t steps) {
  const MemorySource& source = session.source();
  const auto* snapshot = source.kind() == SourceKind::kSnapshot
                             ? static_cast<const SnapshotSource*>(&source)
                             : nullptr;
  if (snapshot == nullptr || !snapshot->file().trailer() || steps == 0) {
    return MakeError(ErrorCode::kUnsupported, "only a whole snapshot tells how it was captured");
  }
  const SnapshotFile& file = snapshot->file();
  const Clock clock(file, steps);
  CaptureTimeline timeline;
  timeline.step_seconds = clock.step_seconds();
  timeline.steps.resize(steps);
  timeline.started_utc_ns = file.trailer()->started_utc_ns;
  timeline.ended_utc_ns = file.trailer()->ended_utc_ns;
  for (const FrameSpan& frame : file.frames()) {
    timeline.steps[clock.StepOf(frame)].bytes += frame.content_bytes;
  }
  for (const PageRun& run : file.trailer()->runs) {
    if (run.outcome != PageOutcome::kExcluded) AddRun(*snapshot, clock, run, timeline);
  }
  return timeline;
}

std::string TimelineSvg(const CaptureTimeline& timeline) {
  const double peak = std::max(timeline.PeakRate(), 1.0);
  const double width =
      kChartWidth / static_cast<double>(std::max<size_t>(timeline.steps.size(), 1));
  const double bottom = kChartTop + kChartHeight;
  std::string out = "<svg viewBox=\"0 0 " + std::to_string(kChartLeft + kChartWidth + 20) + " " +
                    std::to_string(kChartTop + kChartHeight + 40) +
                    "\" role=\"img\" class=\"timeline\"><title>The capture's course</title>\n";
  for (size_t i = 0; i < timeline.steps.size(); ++i) {
    const CaptureTimeline::Step& step = timeline.steps[i];
    const double x = kChartLeft + width * static_cast<double>(i);
    const double rate = static_cast<double>(step.bytes) / timeline.step_seconds;
    const double height = kChartHeight * rate / peak;
    const std::string when = Decimals(timeline.step_seconds * static_cast<double>(i)) + " s: ";
    out += Bar(x, bottom - height, width * 0.9, height, "rate",
               when + HumanBytes(static_cast<uint64_t>(rate)) + "/s");
    if (step.retried_pages != 0) {
      out += Bar(x, bottom + 2, width * 0.9, kMarkHeight / 2.0, "retried",
                 when + Grouped(step.retried_pages) + " pages retried");
    }
    if (step.hole_pages != 0) {
      out += Bar(x, bottom + 2 + kMarkHeight / 2.0, width * 0.9, kMarkHeight / 2.0, "holes",
                 when + Grouped(step.hole_pages) + " pages not read");
    }
  }
  return out + Axis(timeline) + "</svg>\n";
}

}  // namespace kcoredump
