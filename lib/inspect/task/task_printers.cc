// SPDX-License-Identifier: MIT
//
// Processes as a table, a tree or JSON.
#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "inspect/table.h"
#include "kcoredump/tasks.h"
#include "kcoredump/text.h"

namespace kcoredump {

std::string CommandOf(const Task& task, bool as_thread) {
  std::string command;
  if (task.arguments && !as_thread) {
    for (const std::string& argument : *task.arguments) command += argument + " ";
    command = TrimmedRight(command);
    if (!command.empty() && task.arguments_cut) command += "…";
  }
  if (command.empty()) command = as_thread ? "{" + task.comm + "}" : "[" + task.comm + "]";
  if (task.state == 'Z') command += " <defunct>";
  return command;
}

namespace {

using nlohmann::ordered_json;

/// Deeper children are drawn at this depth: a forged chain of parents could be millions long.
constexpr size_t kMaxDepth = 48;

/// Since boot, as ps shows elapsed time: "0.52s", "3:04:05", "2-03:04:05".
std::string Duration(uint64_t ns) {
  const uint64_t seconds = ns / 1'000'000'000;
  std::array<char, 48> text{};
  if (seconds < 60) {
    const uint64_t hundredths = ns / 10'000'000;
    std::snprintf(text.data(), text.size(), "%.2fs", static_cast<double>(hundredths) / 100.0);
    return text.data();
  }
  const auto part = [](uint64_t value) { return static_cast<unsigned long long>(value); };
  const uint64_t days = seconds / 86400;
  if (days != 0) {
    std::snprintf(text.data(), text.size(), "%llu-%02llu:%02llu:%02llu", part(days),
                  part(seconds / 3600 % 24), part(seconds / 60 % 60), part(seconds % 60));
  } else {
    std::snprintf(text.data(), text.size(), "%llu:%02llu:%02llu", part(seconds / 3600),
                  part(seconds / 60 % 60), part(seconds % 60));
  }
  return text.data();
}

template <typename T>
std::string NumberOr(const std::optional<T>& value) {
  return value ? std::to_string(*value) : "-";
}

std::vector<std::string> RowOf(const Task& task, const TaskTable& table,
                               const std::string& branch) {
  std::vector<std::string> cells = {std::to_string(task.tgid)};
  if (table.threads) cells.push_back(std::to_string(task.pid));
  cells.push_back(std::to_string(task.ppid));
  cells.push_back(NumberOr(task.uid));
  cells.emplace_back(1, task.state);
  cells.push_back(NumberOr(task.cpu));
  cells.push_back(task.start_ns ? Duration(*task.start_ns) : "-");
  cells.push_back(task.rss_bytes ? HumanBytes(*task.rss_bytes) : "-");
  cells.push_back(branch + CommandOf(task, task.pid != task.tgid));
  return cells;
}

/// Orders tasks by descent and gives each its branch of the tree. A child of a process that is not
/// listed is a root; a forged circle of parents is broken at its lowest pid.
class Tree {
 public:
  explicit Tree(const std::vector<Task>& tasks);

  struct Line {
    size_t index = 0;
    std::string branch;
  };
  [[nodiscard]] std::vector<Line> Lines();

 private:
  struct Pending {
    size_t index = 0;
    size_t depth = 0;
    std::string lead;  ///< what stands before its own sign
    bool last = false;
  };
  void PushChildren(const Pending& parent, std::vector<Pending>& pending) const;
  void Descend(size_t root, std::vector<Line>& lines);

  const std::vector<Task>& tasks_;
  std::vector<std::vector<size_t>> children_;
  std::vector<bool> is_child_;
  std::vector<bool> drawn_;
};

Tree::Tree(const std::vector<Task>& tasks)
    : tasks_(tasks),
      children_(tasks.size()),
      is_child_(tasks.size(), false),
      drawn_(tasks.size(), false) {
  std::unordered_map<uint32_t, size_t> leaders;
  for (size_t i = 0; i < tasks.size(); ++i) leaders.try_emplace(tasks[i].tgid, i);
  for (size_t i = 0; i < tasks.size(); ++i) {
    // Threads hang on their process, processes on their parent's.
    const size_t leader = leaders.at(tasks[i].tgid);
    const auto parent = leader == i ? leaders.find(tasks[i].ppid) : leaders.find(tasks[i].tgid);
    if (parent == leaders.end() || parent->second == i) continue;
    children_[parent->second].push_back(i);
    is_child_[i] = true;
  }
}

void Tree::PushChildren(const Pending& parent, std::vector<Pending>& pending) const {
  std::string lead = parent.lead;
  if (parent.depth > 0 && parent.depth < kMaxDepth) lead += parent.last ? "   " : "│  ";
  const auto& children = children_[parent.index];
  for (size_t i = children.size(); i-- > 0;) {
    if (drawn_[children[i]]) continue;
    pending.push_back({children[i], parent.depth + 1, lead, i + 1 == children.size()});
  }
}

void Tree::Descend(size_t root, std::vector<Line>& lines) {
  std::vector<Pending> pending = {{.index = root, .depth = 0, .lead = "", .last = true}};
  while (!pending.empty()) {
    const Pending at = std::move(pending.back());
    pending.pop_back();
    if (drawn_[at.index]) continue;
    drawn_[at.index] = true;
    const char* sign = at.depth == 0 ? "" : at.last ? "└─ " : "├─ ";
    lines.push_back({at.index, at.lead + sign});
    PushChildren(at, pending);
  }
}

std::vector<Tree::Line> Tree::Lines() {
  std::vector<Line> lines;
  for (size_t i = 0; i < tasks_.size(); ++i) {
    if (!is_child_[i]) Descend(i, lines);
  }
  for (size_t i = 0; i < tasks_.size(); ++i) {
    if (!drawn_[i]) Descend(i, lines);
  }
  return lines;
}

template <typename T>
ordered_json OrNull(const std::optional<T>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

ordered_json TaskJson(const Task& task) {
  return {{"pid", task.pid},
          {"tgid", task.tgid},
          {"ppid", task.ppid},
          {"uid", OrNull(task.uid)},
          {"state", std::string(1, task.state)},
          {"cpu", OrNull(task.cpu)},
          {"start_ns", OrNull(task.start_ns)},
          {"rss_bytes", OrNull(task.rss_bytes)},
          {"comm", task.comm},
          {"arguments", OrNull(task.arguments)},
          {"arguments_cut", task.arguments_cut},
          {"kernel_thread", task.kernel_thread},
          {"threads", task.threads == 0 ? ordered_json(nullptr) : ordered_json(task.threads)},
          {"address", HexAddress(task.address)}};
}

}  // namespace

std::string ToText(const TaskList& list, const TaskTable& table, const TextStyle& style) {
  std::vector<Table::Column> columns = {{"PID", true}};
  if (table.threads) columns.push_back({"TID", true});
  for (const Table::Column& column : std::initializer_list<Table::Column>{{"PPID", true},
                                                                          {"UID", true},
                                                                          {"S", false},
                                                                          {"CPU", true},
                                                                          {"START", true},
                                                                          {"RSS", true},
                                                                          {"COMMAND", false}}) {
    columns.push_back(column);
  }
  Table text(std::move(columns));
  if (table.tree) {
    for (const Tree::Line& line : Tree(list.tasks).Lines()) {
      text.AddRow(RowOf(list.tasks[line.index], table, line.branch));
    }
  } else {
    for (const Task& task : list.tasks) text.AddRow(RowOf(task, table, ""));
  }
  return text.Text(style);
}

std::string ToJson(const TaskList& list) {
  ordered_json tasks = ordered_json::array();
  for (const Task& task : list.tasks) tasks.push_back(TaskJson(task));
  const ordered_json object = {{"tasks", std::move(tasks)},
                               {"notes", list.findings.notes},
                               {"incomplete", list.findings.incomplete}};
  return object.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace kcoredump
