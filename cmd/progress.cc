// SPDX-License-Identifier: MIT
#include "cmd/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "kcoredump/text.h"

namespace kcoredump::cmd {

namespace {

/// Below this a terminal shows the figures without a bar.
constexpr size_t kLeastBarColumns = 8;
/// A rate over less than this promises nonsense.
constexpr double kLeastSecondsForRate = 0.3;

size_t TerminalColumns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0) return size.ws_col;
  return 80;
}

std::string Bar(double fraction, size_t columns) {
  const auto filled =
      static_cast<size_t>(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(columns));
  return "[" + std::string(filled, '#') + std::string(columns - filled, '.') + "]";
}

std::string Percent(double fraction) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%3.0f %%", 100 * std::clamp(fraction, 0.0, 1.0));
  return text.data();
}

/// Overwrites the current line with a bar between `left` and `right`, cut to the terminal.
void PaintLine(double fraction, const std::string& right) {
  const size_t columns = TerminalColumns();
  const std::string percent = Percent(fraction);
  const size_t used = percent.size() + right.size() + 4;
  std::string line = percent;
  if (columns > used + kLeastBarColumns) {
    line += " " + Bar(fraction, std::min<size_t>(columns - used - 1, 40));
  }
  line += " " + right;
  line.resize(std::min(line.size(), columns - 1));
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
}

class NoDisplay : public ProgressDisplay {
 public:
  void Show(const CaptureProgress& /*progress*/) override {}
};

class BarDisplay : public ProgressDisplay {
 public:
  void Show(const CaptureProgress& progress) override {
    if (progress.phase == CapturePhase::kPreparing) {
      std::fprintf(stderr, "\r\033[Kcollecting symbols and types …");
      std::fflush(stderr);
      return;
    }
    const double fraction =
        progress.total_bytes == 0
            ? 0
            : static_cast<double>(progress.done_bytes) / static_cast<double>(progress.total_bytes);
    if (progress.phase == CapturePhase::kComparing) {
      PaintLine(fraction, "of the sample compared");
      return;
    }
    const double rate = Rate(progress);
    std::string right = HumanBytes(progress.done_bytes) + " of " + HumanBytes(progress.total_bytes);
    if (rate > 0) right += ", " + HumanBytes(static_cast<uint64_t>(rate)) + "/s";
    if (rate > 0 && progress.phase == CapturePhase::kReading) {
      const auto left = static_cast<double>(progress.total_bytes - progress.done_bytes);
      right += ", " + HumanSeconds(left / rate) + " left";
    }
    right += ", " + Grouped(progress.hole_pages) + " holes";
    PaintLine(fraction, right);
  }
  void Clear() override { ClearProgressLine(); }

 private:
  /// Bytes a second since reading began; 0 until there is enough to tell.
  double Rate(const CaptureProgress& progress) {
    if (reading_since_ < 0) {
      reading_since_ = progress.seconds;
      read_before_ = progress.done_bytes;
    }
    const double seconds = progress.seconds - reading_since_;
    if (seconds < kLeastSecondsForRate) return 0;
    return static_cast<double>(progress.done_bytes - read_before_) / seconds;
  }

  double reading_since_ = -1;
  uint64_t read_before_ = 0;
};

class JsonDisplay : public ProgressDisplay {
 public:
  void Show(const CaptureProgress& progress) override {
    std::fprintf(stderr, "%s\n", ToJson(progress).c_str());
  }
};

}  // namespace

std::unique_ptr<ProgressDisplay> MakeProgressDisplay(const std::string& mode) {
  if (mode == "json") return std::make_unique<JsonDisplay>();
  if (mode == "bar" || (mode == "auto" && isatty(STDERR_FILENO) == 1)) {
    return std::make_unique<BarDisplay>();
  }
  return std::make_unique<NoDisplay>();
}

void ShowVerifyProgress(uint64_t done, uint64_t total) {
  const double fraction = total == 0 ? 0 : static_cast<double>(done) / static_cast<double>(total);
  PaintLine(fraction, HumanBytes(done) + " of " + HumanBytes(total) + " checked");
}

void ClearProgressLine() {
  std::fprintf(stderr, "\r\033[K");
  std::fflush(stderr);
}

std::string HumanSeconds(double seconds) {
  std::array<char, 48> text{};
  if (seconds < 60) {
    std::snprintf(text.data(), text.size(), "%.1f s", seconds);
  } else {
    const auto whole = static_cast<uint64_t>(std::min(seconds, 1e9));
    std::snprintf(text.data(), text.size(), "%llu:%02llu:%02llu",
                  static_cast<unsigned long long>(whole / 3600),
                  static_cast<unsigned long long>(whole / 60 % 60),
                  static_cast<unsigned long long>(whole % 60));
  }
  return text.data();
}

}  // namespace kcoredump::cmd
