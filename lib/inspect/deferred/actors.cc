// SPDX-License-Identifier: MIT
#include "inspect/deferred/actors.h"

#include "inspect/json_text.h"

namespace kcoredump {

ActorReader::ActorReader(const TaskSources& sources, std::vector<std::string>& notes)
    : sources_(sources) {
  const auto task = Layout::Of(sources.types, "struct task_struct");
  if (!task.ok()) {
    notes.push_back(task.error().message + ": tasks have no names");
    return;
  }
  pid_ = task.value().Find("pid", "tasks have no ids", notes);
  comm_ = task.value().Find("comm", "tasks have no names", notes);
}

const FunctionName& ActorReader::Function(uint64_t address) {
  const auto [entry, is_new] = functions_.try_emplace(address);
  if (!is_new) return entry->second;
  entry->second.address = address;
  if (address == 0 || !sources_.symbolize) return entry->second;
  std::string& symbol = entry->second.symbol;
  symbol = sources_.symbolize(address);
  constexpr std::string_view kStart = "+0x0";
  const size_t offset = symbol.find(kStart);
  const size_t end = offset + kStart.size();
  if (offset != std::string::npos && (end == symbol.size() || symbol[end] == ' ')) {
    symbol.erase(offset, kStart.size());
  }
  return entry->second;
}

const TaskName& ActorReader::TaskAt(uint64_t address) {
  const auto [entry, is_new] = tasks_.try_emplace(address);
  TaskName& task = entry->second;
  if (!is_new || address == 0) return task;
  task.address = address;
  Record record;
  if (pid_.known() && record.Load(sources_.kernel, address + pid_.offset, pid_.bytes).ok()) {
    task.pid = static_cast<uint32_t>(record.Unsigned(Field{.offset = 0, .bytes = pid_.bytes}));
  }
  if (comm_.known() && record.Load(sources_.kernel, address + comm_.offset, comm_.bytes).ok()) {
    task.comm = record.Text(Field{.offset = 0, .bytes = comm_.bytes});
  }
  return task;
}

std::string TextOf(const FunctionName& function) {
  if (function.address == 0) return {};
  return function.symbol.empty() ? HexAddress(function.address) : function.symbol;
}

std::string TextOf(const TaskName& task) {
  if (task.address == 0) return {};
  return task.comm + "[" + std::to_string(task.pid) + "]";
}

nlohmann::ordered_json JsonOf(const FunctionName& function) {
  if (function.address == 0) return nullptr;
  return {{"address", HexAddress(function.address)}, {"symbol", TextOrNull(function.symbol)}};
}

nlohmann::ordered_json JsonOf(const TaskName& task) {
  if (task.address == 0) return nullptr;
  return {{"pid", task.pid}, {"comm", task.comm}, {"address", HexAddress(task.address)}};
}

}  // namespace kcoredump
