// SPDX-License-Identifier: MIT
//
// Queues hang on workqueues, each with a struct pool_workqueue for each pool that it uses; pools
// stand in worker_pool_idr (kernel: kernel/workqueue.c). Delayed work waits in the timer wheel.
#include "inspect/deferred/workqueues.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <unordered_set>

#include "base/error.h"
#include "base/try.h"
#include "inspect/ask_again.h"
#include "inspect/deferred/actors.h"
#include "inspect/deferred/timers.h"
#include "symbol/list_walk.h"
#include "symbol/record.h"
#include "symbol/xarray_walk.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxPools = 1 << 16;
constexpr size_t kMaxWorkers = 1 << 20;
/// Kernel: include/linux/workqueue.h. What a kernel does not have, it does not set.
constexpr std::array kQueueFlags = {"WQ_BH",          "WQ_UNBOUND",         "WQ_FREEZABLE",
                                    "WQ_MEM_RECLAIM", "WQ_HIGHPRI",         "WQ_CPU_INTENSIVE",
                                    "WQ_SYSFS",       "WQ_POWER_EFFICIENT", "WQ_PERCPU"};

/// A list_head within a struct.
struct LinkPlace {
  uint64_t offset = 0;
  [[nodiscard]] Field next() const { return {.offset = offset, .bytes = 8}; }
  [[nodiscard]] Field prev() const { return {.offset = offset + 8, .bytes = 8}; }
};

class WorkqueueReader {
 public:
  WorkqueueReader(const TaskSources& sources, WorkqueueList& out)
      : sources_(sources), out_(out), actors_(sources, out.findings.notes) {}
  [[nodiscard]] Status FindFields();
  void WalkQueues(uint64_t head);
  void WalkPools();
  void FindDelayed();
  void Finish();

 private:
  using Visit = std::function<void(const Record& record)>;
  [[nodiscard]] Status FindPoolFields();
  /// What hangs on the list_head at `head`, structs of `bytes` linked by `link`.
  void WalkLinks(uint64_t head, const LinkPlace& link, uint64_t bytes, size_t max,
                 const std::string& what, const Visit& visit);
  void KeepQueue(const Record& record);
  void AddPool(const Record& pool_workqueue, Workqueue& queue);
  void KeepPool(uint64_t address);
  void KeepWorker(const Record& record, WorkerPool& pool);
  void KeepWork(const Record& record, WorkState state, const WorkerPool& pool);
  [[nodiscard]] std::string NameOfQueue(uint64_t queue);
  [[nodiscard]] std::string NameByPoolWorkqueue(uint64_t pool_workqueue);

  const TaskSources& sources_;
  WorkqueueList& out_;
  ActorReader actors_;
  uint64_t queue_bytes_ = 0, pwq_bytes_ = 0, pool_bytes_ = 0, worker_bytes_ = 0, work_bytes_ = 0;
  LinkPlace queue_link_, pwqs_, pwq_link_, inactive_, worklist_, workers_, worker_link_, scheduled_,
      work_link_;
  Field name_, flags_, rescuer_;                                ///< of workqueue_struct
  Field pwq_pool_, pwq_queue_, pwq_active_;                     ///< of pool_workqueue
  Field pool_id_, pool_cpu_, pool_attributes_, nice_;           ///< of worker_pool, workqueue_attrs
  Field task_, current_work_, current_function_, current_pwq_;  ///< of worker
  Field work_data_, work_function_;                             ///< of work_struct
  uint64_t pwq_bit_ = 0;   ///< of work_struct.data: the rest is a pool_workqueue
  uint64_t pwq_mask_ = 0;  ///< that rest
  std::vector<std::pair<std::string, uint64_t>> flag_names_;
  std::unordered_map<uint64_t, std::string> queue_names_;
};

Result<LinkPlace> NeedLink(const Layout& layout, const char* member) {
  KCD_ASSIGN(const Field field, layout.Need(std::string(member) + ".prev"));
  return LinkPlace{.offset = field.offset - 8};
}

Status WorkqueueReader::FindFields() {
  KCD_ASSIGN(const Layout queue, Layout::Of(sources_.types, "struct workqueue_struct"));
  queue_bytes_ = queue.bytes();
  KCD_ASSIGN(queue_link_, NeedLink(queue, "list"));
  KCD_ASSIGN(pwqs_, NeedLink(queue, "pwqs"));
  KCD_ASSIGN(name_, queue.Need("name"));
  flags_ = queue.Find("flags", "flags of workqueues are not known", out_.findings.notes);
  rescuer_ = queue.Find("rescuer", "rescuers are not known", out_.findings.notes);
  KCD_ASSIGN(const Layout pwq, Layout::Of(sources_.types, "struct pool_workqueue"));
  pwq_bytes_ = pwq.bytes();
  KCD_ASSIGN(pwq_link_, NeedLink(pwq, "pwqs_node"));
  auto inactive = NeedLink(pwq, "inactive_works");
  if (!inactive.ok()) inactive = NeedLink(pwq, "delayed_works");  // until 5.16, f97a4a1a3f87
  KCD_ASSIGN(inactive_, inactive);
  KCD_ASSIGN(pwq_pool_, pwq.Need("pool"));
  KCD_ASSIGN(pwq_queue_, pwq.Need("wq"));
  pwq_active_ = pwq.Find("nr_active", "how much work is active is not known", out_.findings.notes);
  for (const char* flag : kQueueFlags) {
    const auto value = sources_.types.Enumerator(flag);
    if (!value.ok()) continue;
    std::string text(std::string_view(flag).substr(3));
    for (char& letter : text) letter = letter == '_' ? '_' : static_cast<char>(letter | 0x20);
    flag_names_.emplace_back(std::move(text), static_cast<uint64_t>(value.value()));
  }
  return FindPoolFields();
}

Status WorkqueueReader::FindPoolFields() {
  KCD_ASSIGN(const Layout pool, Layout::Of(sources_.types, "struct worker_pool"));
  pool_bytes_ = pool.bytes();
  KCD_ASSIGN(pool_id_, pool.Need("id"));
  KCD_ASSIGN(pool_cpu_, pool.Need("cpu"));
  KCD_ASSIGN(worklist_, NeedLink(pool, "worklist"));
  KCD_ASSIGN(workers_, NeedLink(pool, "workers"));
  pool_attributes_ = pool.Find("attrs");
  const auto attributes = Layout::Of(sources_.types, "struct workqueue_attrs");
  if (attributes.ok()) nice_ = attributes.value().Find("nice");
  KCD_ASSIGN(const Layout worker, Layout::Of(sources_.types, "struct worker"));
  worker_bytes_ = worker.bytes();
  KCD_ASSIGN(worker_link_, NeedLink(worker, "node"));
  KCD_ASSIGN(scheduled_, NeedLink(worker, "scheduled"));
  KCD_ASSIGN(task_, worker.Need("task"));
  KCD_ASSIGN(current_work_, worker.Need("current_work"));
  KCD_ASSIGN(current_function_, worker.Need("current_func"));
  KCD_ASSIGN(current_pwq_, worker.Need("current_pwq"));
  KCD_ASSIGN(const Layout work, Layout::Of(sources_.types, "struct work_struct"));
  work_bytes_ = work.bytes();
  KCD_ASSIGN(work_link_, NeedLink(work, "entry"));
  KCD_ASSIGN(work_data_, work.Need("data"));
  KCD_ASSIGN(work_function_, work.Need("func"));
  // The second since 6.9 (e9a8e01f9b13); before, all that is below are flags.
  auto shift = sources_.types.Enumerator("WORK_STRUCT_PWQ_SHIFT");
  if (!shift.ok()) shift = sources_.types.Enumerator("WORK_STRUCT_FLAG_BITS");
  const auto bit = sources_.types.Enumerator("WORK_STRUCT_PWQ_BIT");
  if (shift.ok() && bit.ok() && shift.value() > 0 && shift.value() < 32 && bit.value() >= 0 &&
      bit.value() < shift.value()) {
    pwq_mask_ = ~uint64_t{0} << shift.value();
    pwq_bit_ = uint64_t{1} << bit.value();
  } else {
    out_.findings.Add("BTF lacks WORK_STRUCT_PWQ_BIT: whose work is pending is not known");
  }
  return {};
}

void WorkqueueReader::WalkLinks(uint64_t head, const LinkPlace& link, uint64_t bytes, size_t max,
                                const std::string& what, const Visit& visit) {
  Record record;
  ListVisitor visitor;
  visitor.load = [&](uint64_t node) -> Result<ListLinks> {
    KCD_TRY(record.Load(sources_.kernel, node - link.offset, bytes));
    return ListLinks{record.Unsigned(link.next()), record.Unsigned(link.prev())};
  };
  visitor.keep = [&](uint64_t, bool) {
    visit(record);
    return true;
  };
  const ListOutcome walk = WalkList(sources_.kernel, head, max, what, visitor);
  if (walk.lost) out_.findings.Lost(walk.note);
}

std::string WorkqueueReader::NameOfQueue(uint64_t queue) {
  const auto [entry, is_new] = queue_names_.try_emplace(queue);
  Record record;
  if (is_new && record.Load(sources_.kernel, queue + name_.offset, name_.bytes).ok()) {
    entry->second = record.Text(Field{.offset = 0, .bytes = name_.bytes});
  }
  return entry->second;
}

std::string WorkqueueReader::NameByPoolWorkqueue(uint64_t pool_workqueue) {
  if (pool_workqueue == 0) return {};
  const auto queue = sources_.kernel.ReadValue<uint64_t>(pool_workqueue + pwq_queue_.offset);
  return queue.ok() ? NameOfQueue(queue.value()) : std::string();
}

void WorkqueueReader::KeepWork(const Record& record, WorkState state, const WorkerPool& pool) {
  if (out_.works.size() >= kMaxWorks) return;
  const uint64_t data = record.Unsigned(work_data_);
  out_.works.push_back(
      {.state = state,
       .function = actors_.Function(record.Unsigned(work_function_)),
       .workqueue = (data & pwq_bit_) != 0 ? NameByPoolWorkqueue(data & pwq_mask_) : "",
       .pool = pool.id,
       .worker = {},
       .in_ns = {},
       .address = record.address()});
}

void WorkqueueReader::AddPool(const Record& pool_workqueue, Workqueue& queue) {
  queue.active += pool_workqueue.Unsigned(pwq_active_);
  WorkerPool pool;
  const auto id =
      sources_.kernel.ReadValue<int32_t>(pool_workqueue.Unsigned(pwq_pool_) + pool_id_.offset);
  if (!id.ok()) return out_.findings.Lost("a pool of " + queue.name + ": " + id.error().message);
  pool.id = id.value();
  if (std::find(queue.pools.begin(), queue.pools.end(), pool.id) == queue.pools.end()) {
    queue.pools.push_back(pool.id);
  }
  WalkLinks(pool_workqueue.address() + inactive_.offset, work_link_, work_bytes_, kMaxWorks,
            "the list of inactive work of " + queue.name,
            [&](const Record& work) { KeepWork(work, WorkState::kInactive, pool); });
}

void WorkqueueReader::KeepQueue(const Record& record) {
  Workqueue queue{.name = record.Text(name_), .address = record.address()};
  queue_names_[queue.address] = queue.name;
  for (const auto& [name, mask] : flag_names_) {
    if ((record.Unsigned(flags_) & mask) != 0) queue.flags.push_back(name);
  }
  if (const uint64_t rescuer = record.Unsigned(rescuer_); rescuer != 0) {
    const auto task = sources_.kernel.ReadValue<uint64_t>(rescuer + task_.offset);
    if (task.ok()) queue.rescuer = actors_.TaskAt(task.value());
  }
  WalkLinks(queue.address + pwqs_.offset, pwq_link_, pwq_bytes_, kMaxPools,
            "the list of pools of " + queue.name,
            [&](const Record& pool_workqueue) { AddPool(pool_workqueue, queue); });
  out_.workqueues.push_back(std::move(queue));
}

void WorkqueueReader::WalkQueues(uint64_t head) {
  WalkLinks(head, queue_link_, queue_bytes_, kMaxWorkqueues, "the list of workqueues",
            [&](const Record& record) { KeepQueue(record); });
}

void WorkqueueReader::KeepWorker(const Record& record, WorkerPool& pool) {
  Worker worker{.task = actors_.TaskAt(record.Unsigned(task_)), .address = record.address()};
  if (const uint64_t work = record.Unsigned(current_work_); work != 0) {
    worker.running = actors_.Function(record.Unsigned(current_function_));
    out_.works.push_back({.state = WorkState::kRunning,
                          .function = worker.running,
                          .workqueue = NameByPoolWorkqueue(record.Unsigned(current_pwq_)),
                          .pool = pool.id,
                          .worker = worker.task,
                          .in_ns = {},
                          .address = work});
  }
  WalkLinks(record.address() + scheduled_.offset, work_link_, work_bytes_, kMaxWorks,
            "the list of work of a worker",
            [&](const Record& work) { KeepWork(work, WorkState::kPending, pool); });
  pool.workers.push_back(std::move(worker));
}

void WorkqueueReader::KeepPool(uint64_t address) {
  Record record;
  const Status read = record.Load(sources_.kernel, address, pool_bytes_);
  if (!read.ok()) return out_.findings.Lost("a worker pool: " + read.error().message);
  WorkerPool pool{.id = static_cast<int32_t>(record.Unsigned(pool_id_)), .address = address};
  const auto cpu = static_cast<int32_t>(record.Unsigned(pool_cpu_));
  if (cpu >= 0) pool.cpu = static_cast<uint32_t>(cpu);
  if (const uint64_t attributes = record.Unsigned(pool_attributes_);
      attributes != 0 && nice_.known()) {
    const auto nice = sources_.kernel.ReadValue<int32_t>(attributes + nice_.offset);
    if (nice.ok()) pool.nice = nice.value();
  }
  const std::string what = " of worker pool " + std::to_string(pool.id);
  WalkLinks(address + worklist_.offset, work_link_, work_bytes_, kMaxWorks,
            "the list of work" + what,
            [&](const Record& work) { KeepWork(work, WorkState::kPending, pool); });
  WalkLinks(address + workers_.offset, worker_link_, worker_bytes_, kMaxWorkers,
            "the list of workers" + what, [&](const Record& worker) { KeepWorker(worker, pool); });
  out_.pools.push_back(std::move(pool));
}

void WorkqueueReader::WalkPools() {
  const auto all = sources_.symbol("worker_pool_idr");
  const auto walker = XArrayWalker::Create(sources_.types);
  if (!all || !walker.ok()) {
    return out_.findings.Lost("no symbol worker_pool_idr: pools and pending work are not known");
  }
  const ListOutcome walk =
      walker.value().Walk(sources_.kernel, *all, kMaxPools, "the tree of worker pools",
                          [&](uint64_t, uint64_t address) {
                            KeepPool(address);
                            return true;
                          });
  if (walk.lost) out_.findings.Lost(walk.note);
}

void WorkqueueReader::FindDelayed() {
  auto timers = WalkWheel(sources_);
  const auto layout = Layout::Of(sources_.types, "struct delayed_work");
  if (!timers.ok() || !layout.ok()) {
    return out_.findings.Lost("delayed work is not known: " +
                              (timers.ok() ? layout.error() : timers.error()).message);
  }
  for (std::string& note : timers.value().findings.notes) out_.findings.Add(std::move(note));
  out_.findings.incomplete |= timers.value().findings.incomplete;
  const Field timer_at = layout.value().Find("timer");
  const Field queue_at = layout.value().Find("wq");
  for (const Timer& timer : timers.value().timers) {
    if (timer.work.address == 0) continue;
    const uint64_t work = timer.address - timer_at.offset;
    const auto queue = sources_.kernel.ReadValue<uint64_t>(work + queue_at.offset);
    out_.works.push_back({.state = WorkState::kDelayed,
                          .function = timer.work,
                          .workqueue = queue.ok() ? NameOfQueue(queue.value()) : "",
                          .pool = {},
                          .worker = {},
                          .in_ns = timer.in_ns,
                          .address = work});
  }
}

void WorkqueueReader::Finish() {
  std::sort(out_.workqueues.begin(), out_.workqueues.end(),
            [](const Workqueue& a, const Workqueue& b) {
              return std::tie(a.name, a.address) < std::tie(b.name, b.address);
            });
  std::stable_sort(out_.works.begin(), out_.works.end(), [](const Work& a, const Work& b) {
    return std::tie(a.state, a.in_ns) < std::tie(b.state, b.in_ns);
  });
  auto& notes = out_.findings.notes;
  std::sort(notes.begin(), notes.end());
  notes.erase(std::unique(notes.begin(), notes.end()), notes.end());
  LimitNotes(notes);
}

}  // namespace

Result<WorkqueueList> WalkWorkqueues(const TaskSources& sources) {
  const auto head = sources.symbol("workqueues");
  if (!head) return MakeError(ErrorCode::kNotFound, "no symbol workqueues: no list of them");
  WorkqueueList list;
  WorkqueueReader reader(sources, list);
  KCD_TRY(reader.FindFields());
  reader.WalkQueues(*head);
  reader.WalkPools();
  reader.FindDelayed();
  reader.Finish();
  return list;
}

Result<WorkqueueList> ListWorkqueues(Kernel& kernel) {
  Session& session = kernel.session();
  KCD_ASSIGN(const TaskSources sources, TaskSourcesOf(session));
  return AskAgainWhileLive(session, [&] { return WalkWorkqueues(sources); });
}

}  // namespace kcoredump
