// SPDX-License-Identifier: MIT
#include <array>
#include <cstdio>

#include "inspect/deferred/actors.h"
#include "inspect/json_text.h"
#include "inspect/table.h"
#include "kcoredump/timers.h"

namespace kcoredump {

namespace {

/// "0.123456" of nanoseconds.
std::string TimerSeconds(int64_t ns) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%.6f", static_cast<double>(ns) / 1e9);
  return text.data();
}

template <typename T>
nlohmann::ordered_json TimerNumberOrNull(const std::optional<T>& number) {
  return number ? nlohmann::ordered_json(*number) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json TimerJson(const Timer& timer) {
  return {{"cpu", timer.cpu},
          {"kind", timer.wheel ? "timer" : "hrtimer"},
          {"base", TextOrNull(timer.base)},
          {"base_index", timer.base_index},
          {"expires", timer.expires},
          {"soft_expires", timer.soft_expires},
          {"in_ns", TimerNumberOrNull(timer.in_ns)},
          {"function", JsonOf(timer.function)},
          {"work", JsonOf(timer.work)},
          {"task", JsonOf(timer.task)},
          {"address", HexAddress(timer.address)}};
}

}  // namespace

std::string ToText(const TimerList& list, const TextStyle& style) {
  Table table({{"CPU", true},
               {"KIND", false},
               {"BASE", false},
               {"IN", true},
               {"FUNCTION", false},
               {"FOR", false}});
  for (const Timer& timer : list.timers) {
    table.AddRow({std::to_string(timer.cpu), timer.wheel ? "timer" : "hrtimer", timer.base,
                  timer.in_ns ? TimerSeconds(*timer.in_ns) : "", TextOf(timer.function),
                  timer.work.address != 0 ? TextOf(timer.work) : TextOf(timer.task)});
  }
  return table.Text(style);
}

std::string ToJson(const TimerList& list) {
  nlohmann::ordered_json timers = nlohmann::ordered_json::array();
  for (const Timer& timer : list.timers) timers.push_back(TimerJson(timer));
  return JsonText({{"now_ns", TimerNumberOrNull(list.now_ns)},
                   {"jiffies", TimerNumberOrNull(list.jiffies)},
                   {"tick_ns", TimerNumberOrNull(list.tick_ns)},
                   {"timers", std::move(timers)},
                   {"notes", list.findings.notes},
                   {"incomplete", list.findings.incomplete}});
}

}  // namespace kcoredump
