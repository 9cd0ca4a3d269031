// SPDX-License-Identifier: MIT
#include "inspect/task/tasks.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/try.h"
#include "inspect/ask_again.h"
#include "inspect/task/process_memory.h"
#include "kcoredump/text.h"
#include "symbol/list_walk.h"
#include "symbol/record.h"

namespace kcoredump {

namespace {

/// kernel: include/linux/sched.h. PF_KTHREAD has been this bit since 2.6.27.
constexpr uint64_t kKernelThread = 0x00200000;
constexpr uint64_t kExitDead = 0x10;
constexpr uint64_t kExitZombie = 0x20;

/// x86_64 has room for 1 GiB (KERNEL_IMAGE_SIZE).
constexpr uint64_t kMaxImageBytes = uint64_t{1} << 30;

/// Bits of task_struct.__state and exit_state, as fs/proc/array.c (task_state_index) turns them
/// into a letter: the highest of those reported counts.
char StateLetter(uint64_t state, uint64_t exit_state) {
  constexpr uint64_t kReported = 0x7f;
  constexpr uint64_t kUninterruptible = 0x2;
  constexpr uint64_t kIdle = 0x402;         // TASK_UNINTERRUPTIBLE | TASK_NOLOAD
  constexpr uint64_t kRtLockWait = 0x1000;  // 5.15, 5f220be21418
  constexpr uint64_t kFrozen = 0x8000;      // 6.1, f5d39b020809
  constexpr std::string_view kLetters = "RSDTtXZPI";
  uint64_t shown = (state | exit_state) & kReported;
  if ((state & kIdle) == kIdle) shown = 0x80;
  if ((state & (kRtLockWait | kFrozen)) != 0) shown = kUninterruptible;
  return kLetters[static_cast<size_t>(std::bit_width(shown))];
}

/// Members of struct task_struct.
struct TaskFields {
  Field next;
  Field prev;
  Field pid;
  Field tgid;
  Field comm;
  Field state;
  Field exit_state;
  Field flags;
  Field cpu;
  Field start;
  Field parent;
  Field cred;
  Field mm;
  Field signal;
  Field thread_next;
  Field thread_prev;
  Field files;
  Field fs;
  Field nsproxy;

  /// How much of a task_struct is read. Behind it lies the FPU state, which may fill a page with
  /// zeros, and dumps leave those out.
  [[nodiscard]] uint64_t end() const {
    uint64_t end = 0;
    for (const Field& field :
         {next, prev, pid, tgid, comm, state, exit_state, flags, cpu, start, parent, cred, mm,
          signal, thread_next, thread_prev, files, fs, nsproxy}) {
      end = std::max(end, field.offset + field.bytes);
    }
    return end;
  }
};

/// The first of `paths` that this kernel has.
Field FindFirst(const Layout& layout, std::initializer_list<const char*> paths, const char* costs,
                std::vector<std::string>& notes) {
  for (const char* path : paths) {
    const Field field = layout.Find(path);
    if (field.known()) return field;
  }
  return layout.Find(*paths.begin(), costs, notes);
}

Result<TaskFields> FindFields(const Layout& task, std::vector<std::string>& notes) {
  TaskFields fields;
  KCD_ASSIGN(fields.next, task.Need("tasks.next"));
  KCD_ASSIGN(fields.prev, task.Need("tasks.prev"));
  KCD_ASSIGN(fields.pid, task.Need("pid"));
  KCD_ASSIGN(fields.tgid, task.Need("tgid"));
  fields.comm = task.Find("comm", "names are not known", notes);
  // 5.14, 2f064a59a11f
  fields.state = FindFirst(task, {"__state", "state"}, "states are not known", notes);
  fields.exit_state = task.Find("exit_state", "zombies cannot be told from others", notes);
  fields.flags = task.Find("flags", "kernel threads cannot be told from processes", notes);
  // 5.16, bcf9033e5449
  fields.cpu = FindFirst(task, {"thread_info.cpu", "cpu"}, "CPUs are not known", notes);
  // 5.5, cf25e24db61c
  fields.start = FindFirst(task, {"start_boottime", "real_start_time"},
                           "when they started is not known", notes);
  fields.parent = task.Find("real_parent", "parents are not known", notes);
  fields.cred = task.Find("real_cred", "users are not known", notes);
  fields.mm = task.Find("mm", "memory and arguments are not known", notes);
  fields.signal = task.Find("signal", "threads are not known", notes);
  fields.thread_next = task.Find("thread_node.next", "threads are not known", notes);
  fields.thread_prev = task.Find("thread_node.prev", "threads are not known", notes);
  fields.files = task.Find("files");
  fields.fs = task.Find("fs");
  fields.nsproxy = task.Find("nsproxy");
  return fields;
}

class TaskWalker {
 public:
  using Visit = std::function<bool(const Record& task)>;

  [[nodiscard]] static Result<TaskWalker> Create(const TaskSources& sources, Findings& findings);

  /// Every process, and with `threads` every thread, until `visit` returns false.
  void Walk(uint64_t init_task, bool threads, const Visit& visit);
  [[nodiscard]] Task Describe(const Record& record, ProcessMemoryReader& memory);
  [[nodiscard]] const TaskFields& fields() const { return fields_; }

 private:
  TaskWalker(const TaskSources& sources, Findings& findings, const TaskFields& fields)
      : sources_(sources), findings_(findings), fields_(fields) {}
  void FindOthers();
  bool WalkThreads(const Record& leader, const Visit& visit);
  void Report(const ListOutcome& walk);
  [[nodiscard]] std::optional<uint32_t> UidOf(uint64_t cred);
  [[nodiscard]] uint32_t TgidOf(uint64_t task);

  const TaskSources& sources_;
  Findings& findings_;
  TaskFields fields_;
  Field thread_head_;   ///< of signal_struct
  Field thread_count_;  ///< of signal_struct
  Field uid_;           ///< of cred
  size_t visited_ = 0;
  std::unordered_map<uint64_t, std::optional<uint32_t>> uids_;  ///< by address of cred
  std::unordered_map<uint64_t, uint32_t> tgids_;                ///< by address of task_struct
};

Result<TaskWalker> TaskWalker::Create(const TaskSources& sources, Findings& findings) {
  KCD_ASSIGN(const Layout task, Layout::Of(sources.types, "struct task_struct"));
  KCD_ASSIGN(const TaskFields fields, FindFields(task, findings.notes));
  TaskWalker walker(sources, findings, fields);
  walker.FindOthers();
  return walker;
}

void TaskWalker::FindOthers() {
  auto& notes = findings_.notes;
  const auto signal = Layout::Of(sources_.types, "struct signal_struct");
  if (signal.ok()) {
    thread_head_ = signal.value().Find("thread_head", "threads are not known", notes);
    thread_count_ = signal.value().Find("nr_threads");
  } else {
    findings_.Add(signal.error().message + ": threads are not known");
  }
  const auto cred = Layout::Of(sources_.types, "struct cred");
  if (cred.ok()) {
    uid_ = cred.value().Find("uid.val", "users are not known", notes);
  } else {
    findings_.Add(cred.error().message + ": users are not known");
  }
}

void TaskWalker::Report(const ListOutcome& walk) {
  if (walk.note.empty()) return;
  if (walk.lost) {
    findings_.Lost(walk.note);
  } else {
    findings_.Add(walk.note);
  }
}

/// The threads besides the first hang on signal->thread_head by thread_node; the other list,
/// thread_group, is gone since 6.7 (8e1f385104ac).
bool TaskWalker::WalkThreads(const Record& leader, const Visit& visit) {
  if (!thread_head_.known() || !fields_.thread_next.known() || !fields_.thread_prev.known()) {
    return true;
  }
  const uint64_t signal = leader.Unsigned(fields_.signal);
  const uint32_t tgid = static_cast<uint32_t>(leader.Unsigned(fields_.tgid));
  Record thread;
  bool more = true;
  ListVisitor visitor;
  visitor.load = [&](uint64_t node) -> Result<ListLinks> {
    KCD_TRY(thread.Load(sources_.kernel, node - fields_.thread_next.offset, fields_.end()));
    return ListLinks{thread.Unsigned(fields_.thread_next), thread.Unsigned(fields_.thread_prev)};
  };
  visitor.keep = [&](uint64_t, bool) {
    if (thread.address() != leader.address()) more = ++visited_ <= kMaxTasks && visit(thread);
    return more;
  };
  Report(WalkList(sources_.kernel, signal + thread_head_.offset, kMaxTasks - visited_,
                  "the list of threads of process " + std::to_string(tgid), visitor));
  return more;
}

void TaskWalker::Walk(uint64_t init_task, bool threads, const Visit& visit) {
  visited_ = 0;
  Record task;
  ListVisitor visitor;
  visitor.load = [&](uint64_t node) -> Result<ListLinks> {
    KCD_TRY(task.Load(sources_.kernel, node - fields_.next.offset, fields_.end()));
    return ListLinks{task.Unsigned(fields_.next), task.Unsigned(fields_.prev)};
  };
  visitor.keep = [&](uint64_t, bool) {
    if (++visited_ > kMaxTasks) return false;
    return visit(task) && (!threads || WalkThreads(task, visit));
  };
  Report(WalkList(sources_.kernel, init_task + fields_.next.offset, kMaxTasks,
                  "the list of processes", visitor));
  if (visited_ > kMaxTasks) {
    findings_.Lost("only the first " + Grouped(kMaxTasks) + " tasks are listed");
  }
}

std::optional<uint32_t> TaskWalker::UidOf(uint64_t cred) {
  if (!uid_.known() || cred == 0) return std::nullopt;
  const auto [entry, is_new] = uids_.try_emplace(cred);
  if (is_new) {
    const auto uid = sources_.kernel.ReadValue<uint32_t>(cred + uid_.offset);
    if (uid.ok()) entry->second = uid.value();
  }
  return entry->second;
}

uint32_t TaskWalker::TgidOf(uint64_t task) {
  if (task == 0) return 0;
  const auto [entry, is_new] = tgids_.try_emplace(task);
  if (is_new) {
    const auto tgid = sources_.kernel.ReadValue<uint32_t>(task + fields_.tgid.offset);
    if (tgid.ok()) entry->second = tgid.value();
  }
  return entry->second;
}

Task TaskWalker::Describe(const Record& record, ProcessMemoryReader& memory) {
  const auto number = [&](const Field& field) {
    return static_cast<uint32_t>(record.Unsigned(field));
  };
  Task task;
  task.address = record.address();
  task.pid = number(fields_.pid);
  task.tgid = number(fields_.tgid);
  tgids_.try_emplace(task.address, task.tgid);
  task.ppid = TgidOf(record.Unsigned(fields_.parent));
  task.uid = UidOf(record.Unsigned(fields_.cred));
  if (fields_.state.known()) {
    task.state = StateLetter(number(fields_.state), number(fields_.exit_state));
  }
  if (fields_.cpu.known()) task.cpu = number(fields_.cpu);
  if (fields_.start.known()) task.start_ns = record.Unsigned(fields_.start);
  task.comm = record.Text(fields_.comm);
  task.kernel_thread = (record.Unsigned(fields_.flags) & kKernelThread) != 0;
  const uint64_t mm = record.Unsigned(fields_.mm);
  if (const ProcessMemory* found = mm != 0 && !task.kernel_thread ? memory.Of(mm) : nullptr) {
    task.rss_bytes = found->rss_bytes;
    task.arguments = found->arguments;
    task.arguments_cut = found->arguments_cut;
  }
  const uint64_t signal = record.Unsigned(fields_.signal);
  if (signal != 0 && thread_count_.known()) {
    const auto count = sources_.kernel.ReadValue<uint32_t>(signal + thread_count_.offset);
    if (count.ok()) task.threads = count.value();
  }
  return task;
}

Result<uint64_t> InitTask(const TaskSources& sources) {
  const auto address = sources.symbol("init_task");
  if (!address) return MakeError(ErrorCode::kNotFound, "no symbol init_task: no list of processes");
  return *address;
}

TaskHead HeadOf(const Record& record, const TaskFields& fields) {
  const auto number = [&](const Field& field) {
    return static_cast<uint32_t>(record.Unsigned(field));
  };
  return {.address = record.address(),
          .pid = number(fields.pid),
          .tgid = number(fields.tgid),
          .comm = record.Text(fields.comm),
          .kernel_thread = (record.Unsigned(fields.flags) & kKernelThread) != 0,
          .exited = (record.Unsigned(fields.exit_state) & (kExitZombie | kExitDead)) != 0,
          .mm = record.Unsigned(fields.mm),
          .files = record.Unsigned(fields.files),
          .fs = record.Unsigned(fields.fs),
          .nsproxy = record.Unsigned(fields.nsproxy)};
}

bool Matches(const Task& task, const std::string& wanted) {
  uint32_t pid = 0;
  const char* end = wanted.data() + wanted.size();
  const auto [stop, error] = std::from_chars(wanted.data(), end, pid);
  if (error == std::errc() && stop == end) return task.pid == pid || task.tgid == pid;
  return fnmatch(wanted.c_str(), task.comm.c_str(), 0) == 0;
}

/// Leaves what `only` names, and their descendants if they are wanted.
Status Select(const TaskOptions& options, std::vector<Task>& tasks) {
  std::unordered_set<uint32_t> chosen;  // tgids whose children are wanted
  std::vector<bool> keep(tasks.size(), false);
  for (const std::string& wanted : options.only) {
    bool found = false;
    for (size_t i = 0; i < tasks.size(); ++i) {
      if (!Matches(tasks[i], wanted)) continue;
      found = keep[i] = true;
      chosen.insert(tasks[i].tgid);
    }
    if (!found) return MakeError(ErrorCode::kNotFound, "no process matches " + wanted);
  }
  std::unordered_multimap<uint32_t, size_t> children;
  for (size_t i = 0; i < tasks.size(); ++i) children.emplace(tasks[i].ppid, i);
  std::vector<uint32_t> parents(chosen.begin(), chosen.end());
  while (options.descendants && !parents.empty()) {
    const auto [begin, end] = children.equal_range(parents.back());
    parents.pop_back();
    for (auto child = begin; child != end; ++child) {
      keep[child->second] = true;
      const uint32_t tgid = tasks[child->second].tgid;
      if (chosen.insert(tgid).second) parents.push_back(tgid);
    }
  }
  size_t kept = 0;
  for (size_t i = 0; i < tasks.size(); ++i) {
    if (!keep[i]) continue;
    if (kept != i) tasks[kept] = std::move(tasks[i]);
    ++kept;
  }
  tasks.resize(kept);
  return {};
}

}  // namespace

Result<TaskList> WalkTasks(const TaskSources& sources, bool threads) {
  TaskList list;
  KCD_ASSIGN(const uint64_t init_task, InitTask(sources));
  KCD_ASSIGN(TaskWalker walker, TaskWalker::Create(sources, list.findings));
  ProcessMemoryReader memory(sources, list.findings.notes);
  walker.Walk(init_task, threads, [&](const Record& record) {
    list.tasks.push_back(walker.Describe(record, memory));
    return true;
  });
  std::sort(list.tasks.begin(), list.tasks.end(), [](const Task& a, const Task& b) {
    return std::pair(a.tgid, a.pid) < std::pair(b.tgid, b.pid);
  });
  LimitNotes(list.findings.notes);
  return list;
}

Result<TaskSources> TaskSourcesOf(Session& session) {
  KCD_ASSIGN(const TypeCatalog* types, session.NeedTypes());
  const auto page_bytes = session.facts().vmcoreinfo.Number("PAGESIZE");
  return TaskSources{
      .kernel = session.kernel(),
      .types = *types,
      .symbol = [&session](std::string_view name) { return session.FindSymbol(name); },
      .process_space = [&session](uint64_t pgd) -> Result<std::unique_ptr<MemoryView>> {
        KCD_ASSIGN(std::unique_ptr<MemoryView> space, session.ProcessSpace(pgd));
        return space;
      },
      .page_bytes = page_bytes&&* page_bytes > 0 ? static_cast<uint64_t>(*page_bytes) : 4096,
      .symbolize = [&session](uint64_t address) { return session.Symbolize(address); }};
}

Status VisitTasks(const TaskSources& sources, bool threads, Findings& findings,
                  const std::function<bool(const TaskHead&)>& visit) {
  KCD_ASSIGN(const uint64_t init_task, InitTask(sources));
  KCD_ASSIGN(TaskWalker walker, TaskWalker::Create(sources, findings));
  walker.Walk(init_task, threads,
              [&](const Record& record) { return visit(HeadOf(record, walker.fields())); });
  return {};
}

Result<TaskHead> FindTask(const TaskSources& sources, uint32_t pid) {
  std::optional<TaskHead> found;
  bool incomplete = false;
  for (const bool threads : {false, true}) {
    Findings findings;
    KCD_TRY(VisitTasks(sources, threads, findings, [&](const TaskHead& task) {
      if (task.pid == pid) found = task;
      return !found;
    }));
    if (found) return *found;
    incomplete = incomplete || findings.incomplete;
  }
  return MakeError(ErrorCode::kNotFound, "no process " + std::to_string(pid) +
                                             (incomplete ? " in what is left of the list" : ""));
}

Status HasMemory(const TaskHead& task) {
  const std::string name = "process " + std::to_string(task.pid);
  if (task.kernel_thread) {
    return MakeError(ErrorCode::kInvalidArgument,
                     name + " is a kernel thread: it has no memory of its own");
  }
  if (task.mm != 0) return {};
  return MakeError(ErrorCode::kInvalidArgument,
                   name + (task.exited ? " has exited" : " is exiting") + ": its memory is gone");
}

Result<uint64_t> FindProcessRoot(const TaskSources& sources, uint32_t pid) {
  KCD_ASSIGN(const TaskHead task, FindTask(sources, pid));
  KCD_TRY(HasMemory(task));
  std::vector<std::string> notes;
  return ProcessMemoryReader(sources, notes).RootOf(task.mm);
}

Result<uint64_t> ProcessRoot(Session& session, uint32_t pid) {
  if (const auto known = session.KnownProcessRoot(pid)) return *known;
  KCD_ASSIGN(const TaskSources sources, TaskSourcesOf(session));
  KCD_ASSIGN(const uint64_t root, FindProcessRoot(sources, pid));
  session.KeepProcessRoot(pid, root);
  return root;
}

Result<std::unique_ptr<MemoryView>> OpenProcess(Session& session, uint32_t pid) {
  KCD_ASSIGN(const uint64_t root, ProcessRoot(session, pid));
  KCD_ASSIGN(std::unique_ptr<MemoryView> space, session.ProcessSpace(root));
  return space;
}

Result<TaskList> ListTasks(Kernel& kernel, const TaskOptions& options) {
  Session& session = kernel.session();
  KCD_ASSIGN(const TaskSources sources, TaskSourcesOf(session));
  KCD_ASSIGN(TaskList list,
             AskAgainWhileLive(session, [&] { return WalkTasks(sources, options.threads); }));
  if (!options.only.empty()) KCD_TRY(Select(options, list.tasks));
  return list;
}

Result<std::vector<PhysRange>> TaskMemory(Kernel& kernel) {
  Session& session = kernel.session();
  KCD_ASSIGN(const TaskSources sources, TaskSourcesOf(session));
  KCD_ASSIGN(const uint64_t task_bytes,
             sources.types.SizeOf(std::string_view("struct task_struct")));
  std::vector<Range> ranges;
  const auto add = [&](uint64_t begin, uint64_t end) {
    for (uint64_t at = begin; at < end;) {
      const uint64_t bytes = std::min(sources.page_bytes - at % sources.page_bytes, end - at);
      const auto phys = session.kernel().Translate(VirtAddr{at});
      if (phys.ok()) ranges.push_back({phys.value().value, phys.value().value + bytes});
      at += bytes;
    }
  };
  const auto data = sources.symbol("_sdata");
  const auto end = sources.symbol("_end");
  if (data && end && *end - *data <= kMaxImageBytes) add(*data, *end);
  Findings findings;
  KCD_TRY(VisitTasks(sources, true, findings, [&](const TaskHead& task) {
    if (task.address <= ~task_bytes) add(task.address, task.address + task_bytes);
    return true;
  }));
  std::vector<PhysRange> memory;
  for (const Range& range : Normalized(std::move(ranges))) {
    memory.push_back({range.begin, range.end});
  }
  return memory;
}

}  // namespace kcoredump
