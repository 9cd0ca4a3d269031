// SPDX-License-Identifier: MIT
#include <nlohmann/json.hpp>

#include "inspect/json_text.h"
#include "inspect/table.h"
#include "kcoredump/stacks.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

const char* SourceName(FrameSource source) {
  switch (source) {
    case FrameSource::kRegisters:
      return "registers";
    case FrameSource::kSwitch:
      return "switch";
    case FrameSource::kOrc:
      return "orc";
    case FrameSource::kFramePointer:
      return "frame pointer";
    case FrameSource::kGuess:
      break;
  }
  return "guess";
}

std::string HeadLine(const KernelStack& stack) {
  std::string text = "PID " + std::to_string(stack.pid) + "  " + Escaped(stack.comm) + "  " +
                     std::string(1, stack.state);
  if (stack.cpu) text += "  CPU " + std::to_string(*stack.cpu);
  if (stack.task != 0) text += "  task " + HexAddress(stack.task);
  return text;
}

/// Without a title: the head line is one.
std::string FramesText(const KernelStack& stack, const TextStyle& style) {
  std::string text;
  size_t number = 0;
  size_t width = 0;
  for (const KernelFrame& frame : stack.frames) width = std::max(width, frame.symbol.size());
  for (const KernelFrame& frame : stack.frames) {
    const std::string name = frame.symbol.empty() ? "?" : Escaped(frame.symbol);
    std::string line = "  #" + std::to_string(number++);
    line += std::string(line.size() < 6 ? 6 - line.size() : 1, ' ') + HexAddress(frame.pc) + "  " +
            name + std::string(name.size() < width ? width - name.size() : 0, ' ') + "  " +
            SourceName(frame.source) + (frame.interrupted ? ", interrupted" : "");
    text += CutToWidth(line, style.columns) + "\n";
  }
  if (!stack.trouble.empty()) text += "  (" + Escaped(stack.trouble) + ")\n";
  return text;
}

ordered_json FrameJson(const KernelFrame& frame) {
  return {{"pc", HexAddress(frame.pc)},         {"sp", HexAddress(frame.sp)},
          {"symbol", TextOrNull(frame.symbol)}, {"found_by", SourceName(frame.source)},
          {"interrupted", frame.interrupted},   {"in_scheduler", frame.in_scheduler}};
}

ordered_json StackJson(const KernelStack& stack) {
  ordered_json frames = ordered_json::array();
  for (const KernelFrame& frame : stack.frames) frames.push_back(FrameJson(frame));
  return {{"pid", stack.pid},
          {"tgid", stack.tgid},
          {"comm", stack.comm},
          {"state", std::string(1, stack.state)},
          {"cpu", stack.cpu ? ordered_json(*stack.cpu) : ordered_json(nullptr)},
          {"task", AddressOrNull(stack.task)},
          {"frames", std::move(frames)},
          {"trouble", TextOrNull(stack.trouble)}};
}

}  // namespace

std::string ToText(const StackList& list, const TextStyle& style) {
  std::string text;
  for (const KernelStack& stack : list.stacks) {
    const std::string head = CutToWidth(HeadLine(stack), style.columns);
    text += (text.empty() ? "" : "\n") + (style.colour ? "\x1b[1m" + head + "\x1b[0m" : head) +
            "\n" + FramesText(stack, style);
  }
  return text;
}

std::string ToJson(const StackList& list) {
  ordered_json stacks = ordered_json::array();
  for (const KernelStack& stack : list.stacks) stacks.push_back(StackJson(stack));
  return JsonText({{"stacks", std::move(stacks)},
                   {"notes", list.findings.notes},
                   {"incomplete", list.findings.incomplete}});
}

}  // namespace kcoredump
