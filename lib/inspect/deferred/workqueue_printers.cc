// SPDX-License-Identifier: MIT
#include <array>
#include <cstdio>

#include "inspect/deferred/actors.h"
#include "inspect/json_text.h"
#include "inspect/table.h"
#include "kcoredump/workqueues.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

std::string JoinedFlags(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

std::string WorksText(const WorkqueueList& list, const TextStyle& style) {
  Table table({{"STATE", false},
               {"FUNCTION", false},
               {"WORKQUEUE", false},
               {"POOL", true},
               {"IN", true},
               {"WORKER", false}});
  for (const Work& work : list.works) {
    std::array<char, 40> seconds{};
    if (work.in_ns) {
      std::snprintf(seconds.data(), seconds.size(), "%.3f", static_cast<double>(*work.in_ns) / 1e9);
    }
    table.AddRow({WorkStateName(work.state), TextOf(work.function), work.workqueue,
                  work.pool ? std::to_string(*work.pool) : "", seconds.data(),
                  TextOf(work.worker)});
  }
  return table.Text(style);
}

std::string PoolsText(const WorkqueueList& list, const TextStyle& style) {
  Table table({{"POOL", true}, {"CPU", false}, {"NICE", true}, {"BUSY", true}, {"WORKERS", false}});
  for (const WorkerPool& pool : list.pools) {
    size_t busy = 0;
    std::string workers;
    for (const Worker& worker : pool.workers) {
      busy += worker.running.address != 0 ? 1 : 0;
      if (worker.task.address != 0) workers += (workers.empty() ? "" : " ") + TextOf(worker.task);
    }
    table.AddRow({std::to_string(pool.id), pool.cpu ? std::to_string(*pool.cpu) : "any",
                  pool.nice ? std::to_string(*pool.nice) : "", std::to_string(busy), workers});
  }
  return table.Text(style);
}

ordered_json WorkJson(const Work& work) {
  return {{"state", WorkStateName(work.state)},
          {"function", JsonOf(work.function)},
          {"workqueue", TextOrNull(work.workqueue)},
          {"pool", work.pool ? ordered_json(*work.pool) : ordered_json(nullptr)},
          {"worker", JsonOf(work.worker)},
          {"in_ns", work.in_ns ? ordered_json(*work.in_ns) : ordered_json(nullptr)},
          {"address", HexAddress(work.address)}};
}

ordered_json PoolJson(const WorkerPool& pool) {
  ordered_json workers = ordered_json::array();
  for (const Worker& worker : pool.workers) {
    workers.push_back({{"task", JsonOf(worker.task)},
                       {"running", JsonOf(worker.running)},
                       {"address", HexAddress(worker.address)}});
  }
  return {{"id", pool.id},
          {"cpu", pool.cpu ? ordered_json(*pool.cpu) : ordered_json(nullptr)},
          {"nice", pool.nice ? ordered_json(*pool.nice) : ordered_json(nullptr)},
          {"workers", std::move(workers)},
          {"address", HexAddress(pool.address)}};
}

}  // namespace

const char* WorkStateName(WorkState state) {
  constexpr std::array kNames = {"running", "pending", "inactive", "delayed"};
  return kNames[static_cast<size_t>(state)];
}

std::string ToText(const WorkqueueList& list, const TextStyle& style) {
  Table table({{"WORKQUEUE", false}, {"ACTIVE", true}, {"RESCUER", false}, {"FLAGS", false}});
  for (const Workqueue& queue : list.workqueues) {
    table.AddRow({queue.name, std::to_string(queue.active), TextOf(queue.rescuer),
                  JoinedFlags(queue.flags)});
  }
  return WorksText(list, style) + "\n" + table.Text(style) + "\n" + PoolsText(list, style);
}

std::string ToJson(const WorkqueueList& list) {
  ordered_json queues = ordered_json::array();
  for (const Workqueue& queue : list.workqueues) {
    queues.push_back({{"name", TextOrNull(queue.name)},
                      {"flags", queue.flags},
                      {"active", queue.active},
                      {"pools", queue.pools},
                      {"rescuer", JsonOf(queue.rescuer)},
                      {"address", HexAddress(queue.address)}});
  }
  ordered_json pools = ordered_json::array();
  for (const WorkerPool& pool : list.pools) pools.push_back(PoolJson(pool));
  ordered_json works = ordered_json::array();
  for (const Work& work : list.works) works.push_back(WorkJson(work));
  return JsonText({{"workqueues", std::move(queues)},
                   {"pools", std::move(pools)},
                   {"works", std::move(works)},
                   {"notes", list.findings.notes},
                   {"incomplete", list.findings.incomplete}});
}

}  // namespace kcoredump
