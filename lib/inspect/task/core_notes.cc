// SPDX-License-Identifier: MIT
#include "inspect/task/core_notes.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "base/try.h"
#include "inspect/task/process_memory.h"
#include "kcoredump/text.h"
#include "symbol/record.h"

namespace kcoredump {

namespace {

// struct elf_prstatus and elf_prpsinfo of x86_64 (kernel: include/uapi/linux/elfcore.h, and
// include/linux/elfcore.h).
constexpr size_t kStatusBytes = 336;
constexpr size_t kStatusSignal = 12;
constexpr size_t kStatusPid = 32;
constexpr size_t kStatusParent = 36;
constexpr size_t kStatusRegisters = 112;
constexpr size_t kInfoBytes = 136;
constexpr size_t kInfoState = 1;
constexpr size_t kInfoPid = 24;
constexpr size_t kInfoName = 40;
constexpr size_t kInfoNameBytes = 16;
constexpr size_t kInfoArguments = 56;
constexpr size_t kInfoArgumentBytes = 80;

/// struct user_regs_struct begins as struct pt_regs does.
constexpr size_t kSavedBytes = 21 * 8;
constexpr size_t kFsBase = 21 * 8;
constexpr size_t kGsBase = 22 * 8;
constexpr size_t kCodeSegment = 17 * 8;
constexpr uint64_t kUserMode = 3;
/// Above the registers of a kernel that may use FRED stands more (TOP_OF_KERNEL_STACK_PADDING,
/// since 6.9, 65c9cc9e2c14).
constexpr std::array<uint64_t, 2> kPaddings = {0, 16};
constexpr uint64_t kLeastStackBytes = 4096;
constexpr uint64_t kUsualCoreStackBytes = 16 << 10;
constexpr uint64_t kMostStackBytes = 256 << 10;
constexpr size_t kMaxCoreThreads = 1 << 16;
constexpr size_t kMaxFileNoteBytes = 4 << 20;  ///< the kernel's own limit

using NoteBytes = std::vector<std::byte>;

template <typename T>
void PutAt(NoteBytes& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof(value));
}

void PutText(NoteBytes& bytes, size_t at, size_t room, const std::string& text) {
  std::memcpy(bytes.data() + at, text.data(), std::min(text.size(), room - 1));
}

void AppendNote(NoteBytes& out, uint32_t type, const NoteBytes& data) {
  constexpr std::array<char, 8> kOwner = {'C', 'O', 'R', 'E', 0, 0, 0, 0};
  const Elf64_Nhdr header{
      .n_namesz = 5, .n_descsz = static_cast<Elf64_Word>(data.size()), .n_type = type};
  const auto put = [&](const void* from, size_t bytes) {
    const auto* begin = static_cast<const std::byte*>(from);
    out.insert(out.end(), begin, begin + bytes);
  };
  put(&header, sizeof(header));
  put(kOwner.data(), kOwner.size());
  put(data.data(), data.size());
  out.resize((out.size() + 3) / 4 * 4);
}

class NoteMaker {
 public:
  NoteMaker(const TaskSources& sources, Findings& findings)
      : sources_(sources), findings_(findings) {}

  [[nodiscard]] Status FindFields();
  [[nodiscard]] Result<NoteBytes> StatusOf(const TaskHead& thread, uint32_t parent);
  void NoteRunning(const TaskHead& thread);

 private:
  [[nodiscard]] Result<NoteBytes> RegistersOf(uint64_t task);

  const TaskSources& sources_;
  Findings& findings_;
  uint64_t stack_bytes_ = 0;
  Field stack_, fs_base_, gs_base_, on_cpu_;  ///< of task_struct
};

Status NoteMaker::FindFields() {
  KCD_ASSIGN(const uint64_t saved, sources_.types.SizeOf("struct pt_regs"));
  KCD_ASSIGN(const MemberRef code, sources_.types.Member("struct pt_regs", "cs"));
  if (saved != kSavedBytes || code.offset() != kCodeSegment) {
    return MakeError(ErrorCode::kUnsupported, "struct pt_regs is not as x86_64 has it");
  }
  KCD_ASSIGN(const Layout task, Layout::Of(sources_.types, "struct task_struct"));
  KCD_ASSIGN(stack_, task.Need("stack"));
  const auto bytes = sources_.types.SizeOf("union thread_union");
  stack_bytes_ = bytes.ok() ? std::clamp(bytes.value(), kLeastStackBytes, kMostStackBytes)
                            : kUsualCoreStackBytes;
  fs_base_ = task.Find("thread.fsbase", "thread-local storage is not known", findings_.notes);
  gs_base_ = task.Find("thread.gsbase");
  on_cpu_ = task.Find("on_cpu");
  return {};
}

/// The registers that stand on top of the kernel stack, where the thread entered the kernel.
Result<NoteBytes> NoteMaker::RegistersOf(uint64_t task) {
  KCD_ASSIGN(const auto stack, sources_.kernel.ReadValue<uint64_t>(task + stack_.offset));
  NoteBytes registers(kSavedBytes);
  for (const uint64_t padding : kPaddings) {
    KCD_TRY(sources_.kernel.Read(stack + stack_bytes_ - padding - kSavedBytes, registers));
    uint16_t code = 0;
    std::memcpy(&code, registers.data() + kCodeSegment, sizeof(code));
    if ((code & kUserMode) == kUserMode) return registers;
  }
  return MakeError(ErrorCode::kNotFound, "no registers of user space are on its kernel stack");
}

/// FRED keeps more than the selectors beside them.
constexpr std::array<size_t, 2> kSelectors = {17 * 8, 20 * 8};

Result<NoteBytes> NoteMaker::StatusOf(const TaskHead& thread, uint32_t parent) {
  NoteBytes status(kStatusBytes);
  KCD_ASSIGN(NoteBytes registers, RegistersOf(thread.address));
  for (const size_t at : kSelectors) {
    std::fill_n(registers.begin() + static_cast<ptrdiff_t>(at) + 2, 6, std::byte{0});
  }
  std::copy(registers.begin(), registers.end(), status.begin() + kStatusRegisters);
  const auto base = [&](const Field& field, size_t at) {
    const auto value = field.known()
                           ? sources_.kernel.ReadValue<uint64_t>(thread.address + field.offset)
                           : Result<uint64_t>(0);
    if (value.ok()) PutAt<uint64_t>(status, kStatusRegisters + at, value.value());
  };
  base(fs_base_, kFsBase);
  base(gs_base_, kGsBase);
  PutAt<uint16_t>(status, kStatusSignal, 0);
  PutAt<uint32_t>(status, kStatusPid, thread.pid);
  PutAt<uint32_t>(status, kStatusParent, parent);
  return status;
}

void NoteMaker::NoteRunning(const TaskHead& thread) {
  Record record;
  if (!on_cpu_.known() ||
      !record.Load(sources_.kernel, thread.address + on_cpu_.offset, on_cpu_.bytes).ok() ||
      record.Unsigned(Field{.offset = 0, .bytes = on_cpu_.bytes}) == 0) {
    return;
  }
  findings_.Add("thread " + std::to_string(thread.pid) +
                " runs: its registers are those of when it last entered the kernel");
}

NoteBytes ProcessInfo(const TaskHead& leader, const ProcessMemory* memory) {
  NoteBytes info(kInfoBytes);
  info[kInfoState] = std::byte{'S'};
  PutAt<uint32_t>(info, kInfoPid, leader.tgid);
  PutText(info, kInfoName, kInfoNameBytes, leader.comm);
  std::string arguments;
  if (memory != nullptr && memory->arguments) {
    for (const std::string& each : *memory->arguments) {
      arguments += (arguments.empty() ? "" : " ") + each;
    }
  }
  PutText(info, kInfoArguments, kInfoArgumentBytes, arguments);
  return info;
}

/// Count, unit of offsets, then (start, end, offset) of each, then their names.
NoteBytes FileNote(const MappingList& list, uint64_t page_bytes) {
  std::vector<uint64_t> words = {0, page_bytes};
  std::string names;
  for (const Mapping& mapping : list.mappings) {
    if (mapping.file == 0 || mapping.name.empty() || names.size() > kMaxFileNoteBytes) continue;
    words.insert(words.end(), {mapping.start, mapping.end, mapping.offset / page_bytes});
    names += mapping.name;
    names += '\0';
    ++words[0];
  }
  const auto all = std::as_bytes(std::span(words));
  NoteBytes note(all.begin(), all.end());
  const auto text = std::as_bytes(std::span(names));
  note.insert(note.end(), text.begin(), text.end());
  return note;
}

Result<NoteBytes> AuxiliaryVector(const TaskSources& sources, uint64_t mm) {
  KCD_ASSIGN(const Layout layout, Layout::Of(sources.types, "struct mm_struct"));
  KCD_ASSIGN(const Field vector, layout.Need("saved_auxv"));
  NoteBytes bytes(vector.bytes);
  KCD_TRY(sources.kernel.Read(mm + vector.offset, bytes));
  return bytes;
}

}  // namespace

Result<CoreNotes> MakeCoreNotes(const TaskSources& sources, const TaskHead& task,
                                const MappingList& mappings, Findings& findings) {
  NoteMaker maker(sources, findings);
  KCD_TRY(maker.FindFields());
  CoreNotes notes;
  ProcessMemoryReader memory(sources, findings.notes);
  // A debugger takes the first thread for the one that was at work.
  std::vector<NoteBytes> statuses;
  KCD_TRY(VisitTasks(sources, true, findings, [&](const TaskHead& thread) {
    if (thread.tgid != task.tgid || statuses.size() >= kMaxCoreThreads) return true;
    auto status = maker.StatusOf(thread, 0);
    maker.NoteRunning(thread);
    if (status.ok()) {
      statuses.push_back(std::move(status.value()));
    } else if (!thread.exited) {
      findings.Lost("thread " + std::to_string(thread.pid) + ": " + status.error().message);
    }
    return true;
  }));
  if (statuses.empty()) return MakeError(ErrorCode::kNotFound, "no thread of it has registers");
  notes.threads = statuses.size();
  AppendNote(notes.bytes, NT_PRSTATUS, statuses.front());
  AppendNote(notes.bytes, NT_PRPSINFO, ProcessInfo(task, memory.Of(task.mm)));
  const auto auxiliary = AuxiliaryVector(sources, task.mm);
  if (auxiliary.ok()) {
    AppendNote(notes.bytes, NT_AUXV, auxiliary.value());
  } else {
    findings.Lost("the auxiliary vector: " + auxiliary.error().message);
  }
  AppendNote(notes.bytes, NT_FILE, FileNote(mappings, sources.page_bytes));
  for (size_t i = 1; i < statuses.size(); ++i) AppendNote(notes.bytes, NT_PRSTATUS, statuses[i]);
  return notes;
}

}  // namespace kcoredump
