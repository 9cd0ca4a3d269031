// SPDX-License-Identifier: MIT
//
// A task is in the list of processes or of its process's threads, in the table of pids, among its
// parent's children, and while it runs in a run queue (kernel: kernel/fork.c, copy_process).
#include <algorithm>
#include <map>

#include "inspect/check/checks.h"
#include "inspect/per_cpu.h"
#include "kcoredump/text.h"
#include "symbol/xarray_walk.h"

namespace kcoredump {

namespace {

/// Of the lists that have a task: forged ones may be millions.
constexpr size_t kMaxWhereBytes = 1000;
constexpr char kPids[] = "the table of pids";

/// What is compared of a task.
struct SeenTask {
  uint32_t pid = 0;
  uint32_t tgid = 0;
  std::string comm;
  uint64_t start_ns = 0;
  bool exited = false;
};

class TaskChecker {
 public:
  TaskChecker(const CheckSources& sources, CheckLog& log) : sources_(sources), log_(log) {}

  [[nodiscard]] Status FindFields();
  [[nodiscard]] Status WalkListed();
  void WalkPids();
  void WalkChildren();
  void WalkRunQueues();
  void Compare();

 private:
  using Tasks = std::map<uint64_t, SeenTask>;  ///< by address of task_struct

  [[nodiscard]] std::optional<SeenTask> Read(uint64_t address) const;
  void Add(uint64_t task, const std::string& where);
  void Report(uint64_t address, const SeenTask& task, const std::string& in,
              const std::string& not_in, uint64_t latest_ns);
  [[nodiscard]] static uint64_t LatestOf(const Tasks& tasks);

  const CheckSources& sources_;
  CheckLog& log_;
  Field pid_, tgid_, comm_, start_, exit_state_, children_, sibling_, run_links_, pid_links_;
  uint64_t bytes_ = 0;  ///< as far as those reach
  Tasks listed_;
  Tasks with_pid_;
  std::map<uint64_t, std::string> elsewhere_;  ///< where a task was met that is not listed
  bool pids_walked_ = false;
};

Status TaskChecker::FindFields() {
  KCD_ASSIGN(const Layout task, Layout::Of(sources_.kernel.types, "struct task_struct"));
  KCD_ASSIGN(pid_, task.Need("pid"));
  KCD_ASSIGN(tgid_, task.Need("tgid"));
  KCD_ASSIGN(comm_, task.Need("comm"));
  KCD_ASSIGN(exit_state_, task.Need("exit_state"));
  start_ = task.Find("start_boottime");
  if (!start_.known()) start_ = task.Find("real_start_time");  // up to 5.4
  children_ = task.Find("children.next");
  sibling_ = task.Find("sibling.next");
  run_links_ = task.Find("se.group_node.next");
  pid_links_ = task.Find("pid_links");
  for (const Field& field : {pid_, tgid_, comm_, exit_state_, start_}) {
    bytes_ = std::max(bytes_, field.offset + field.bytes);
  }
  return {};
}

std::optional<SeenTask> TaskChecker::Read(uint64_t address) const {
  Record record;
  if (!record.Load(sources_.kernel.kernel, address, bytes_).ok()) return std::nullopt;
  return SeenTask{.pid = static_cast<uint32_t>(record.Unsigned(pid_)),
                  .tgid = static_cast<uint32_t>(record.Unsigned(tgid_)),
                  .comm = record.Text(comm_),
                  .start_ns = record.Unsigned(start_),
                  .exited = record.Unsigned(exit_state_) != 0};
}

Status TaskChecker::WalkListed() {
  Findings lost;
  KCD_TRY(VisitTasks(sources_.kernel, true, lost, [&](const TaskHead& head) {
    if (const auto task = Read(head.address)) listed_.emplace(head.address, *task);
    return true;
  }));
  for (std::string& note : lost.notes) log_.Unchecked(std::move(note));
  log_.Examined(listed_.size());
  return {};
}

void TaskChecker::Add(uint64_t address, const std::string& where) {
  if (listed_.count(address) != 0) return;
  std::string& text = elsewhere_[address];
  if (text.size() > kMaxWhereBytes) return;
  if (text.find(where) == std::string::npos) text += (text.empty() ? "" : ", ") + where;
}

/// Entries of init_pid_ns.idr are struct pids; the first task of each is the one that has that pid
/// (PIDTYPE_PID is 0; kernel: include/linux/pid.h).
void TaskChecker::WalkPids() {
  const TypeCatalog& types = sources_.kernel.types;
  const auto symbol = sources_.kernel.symbol("init_pid_ns");
  const auto space = Layout::Of(types, "struct pid_namespace");
  const auto pid = Layout::Of(types, "struct pid");
  const auto walker = XArrayWalker::Create(types);
  const Field tree = space.ok() ? space.value().Find("idr.idr_rt") : Field{};
  const Field tasks = pid.ok() ? pid.value().Find("tasks") : Field{};
  if (!symbol || !tree.known() || !tasks.known() || !pid_links_.known() || !walker.ok()) {
    return log_.Unchecked(
        "the table of pids: this kernel lacks init_pid_ns, pid_namespace.idr, pid.tasks or "
        "task_struct.pid_links");
  }
  pids_walked_ = true;
  log_.Report(walker.value().Walk(
      sources_.kernel.kernel, *symbol + tree.offset, kMaxTasks, kPids,
      [&](uint64_t, uint64_t entry) {
        const uint64_t link = sources_.WordAt(entry + tasks.offset);
        if (link == 0) return true;  // a session or group without the process that it began with
        const uint64_t address = link - pid_links_.offset;
        if (const auto task = Read(address)) {
          with_pid_.emplace(address, *task);
          Add(address, kPids);
        }
        return true;
      }));
  log_.Examined(with_pid_.size());
}

void TaskChecker::WalkChildren() {
  if (!children_.known() || !sibling_.known()) {
    return log_.Unchecked("children: this kernel lacks task_struct.children or sibling");
  }
  std::vector<std::pair<uint64_t, uint32_t>> parents;
  for (const auto& [address, task] : listed_) parents.emplace_back(address, task.pid);
  if (const auto idle = sources_.kernel.symbol("init_task")) parents.emplace_back(*idle, 0);
  for (const auto& [address, pid] : parents) {
    const std::string where = "the children of PID " + std::to_string(pid);
    log_.VisitList(address + children_.offset, sibling_.offset, kMaxTasks, where,
                   [&](uint64_t task) { Add(task, where); });
  }
}

void TaskChecker::WalkRunQueues() {
  const auto symbol = sources_.kernel.symbol("runqueues");
  const auto queue = Layout::Of(sources_.kernel.types, "struct rq");
  const Field head = queue.ok() ? queue.value().Find("cfs_tasks") : Field{};
  const Field current = queue.ok() ? queue.value().Find("curr") : Field{};
  const std::vector<CpuArea> cpus = CpusOf(sources_.kernel, "__cpu_possible_mask");
  if (!symbol || !head.known() || !run_links_.known() || cpus.empty()) {
    return log_.Unchecked(
        "run queues: this kernel lacks runqueues, rq.cfs_tasks, sched_entity.group_node or "
        "__per_cpu_offset");
  }
  for (const CpuArea& cpu : cpus) {
    const uint64_t at = *symbol + cpu.offset;
    const std::string where = "the run queue of CPU " + std::to_string(cpu.cpu);
    // A capture of a live kernel never has a whole one: what it leads to must be known all the
    // same.
    log_.VisitList(
        at + head.offset, run_links_.offset, kMaxTasks, where,
        [&](uint64_t task) { Add(task, where); }, false);
    const uint64_t running = current.known() ? sources_.WordAt(at + current.offset) : 0;
    if (running != 0) Add(running, where);
  }
}

uint64_t TaskChecker::LatestOf(const Tasks& tasks) {
  uint64_t latest = 0;
  for (const auto& [address, task] : tasks) latest = std::max(latest, task.start_ns);
  return latest;
}

/// A capture of a live kernel is not of one moment: who started after all that are in the one list
/// may have started between it and the other.
void TaskChecker::Report(uint64_t address, const SeenTask& task, const std::string& in,
                         const std::string& not_in, uint64_t latest_ns) {
  if (task.exited || task.pid == 0) return;
  const std::string object = "PID " + std::to_string(task.pid) + " " + task.comm;
  const std::string text = object + " is in " + in + " and not in " + not_in;
  if (task.start_ns > latest_ns) {
    return log_.Unchecked(text + ", and it is the newest: it may have started in between");
  }
  log_.Find({.kind = "hidden",
             .object = object,
             .compared = not_in + " with " + in,
             .address = address,
             .text = text});
}

void TaskChecker::Compare() {
  const uint64_t latest_listed = LatestOf(listed_);
  for (const auto& [address, where] : elsewhere_) {
    if (const auto task = Read(address)) {
      Report(address, *task, where,
             task->pid == task->tgid ? "the list of processes" : "its process's list of threads",
             latest_listed);
    }
  }
  if (!pids_walked_) return;
  const uint64_t latest_with_pid = LatestOf(with_pid_);
  for (const auto& [address, task] : listed_) {
    if (with_pid_.count(address) != 0) continue;
    Report(address, task, "the list of processes and threads", kPids, latest_with_pid);
  }
}

}  // namespace

void CheckProcesses(const CheckSources& sources, CheckLog& log) {
  TaskChecker checker(sources, log);
  Status done = checker.FindFields();
  if (done.ok()) done = checker.WalkListed();
  if (!done.ok()) return log.Unchecked(done.error().message);
  checker.WalkPids();
  checker.WalkChildren();
  checker.WalkRunQueues();
  checker.Compare();
}

}  // namespace kcoredump
