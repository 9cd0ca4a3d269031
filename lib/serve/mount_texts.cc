// SPDX-License-Identifier: MIT
#include "serve/mount_texts.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/bytes.h"
#include "base/error.h"
#include "base/try.h"
#include "capture/system_notes.h"
#include "inspect/evidence.h"
#include "kcoredump/inspect.h"
#include "kcoredump/log.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr std::chrono::seconds kLiveTasksLast{1};

/// As /proc/kallsyms spells them (kernel: kernel/kallsyms.c, s_show).
std::string KallsymsText(const SymbolTable& table) {
  std::string text;
  for (size_t i = 0; i < table.size(); ++i) {
    const Symbol symbol = table.At(i);
    text += HexAddress(symbol.address).substr(2) + " " + symbol.type + " " + Escaped(symbol.name);
    if (!symbol.module.empty()) text += "\t[" + Escaped(symbol.module) + "]";
    text += "\n";
  }
  return text;
}

}  // namespace

std::string ProcessText(const Task& task, ProcessTextKind kind) {
  if (kind == ProcessTextKind::kComm) return Escaped(task.comm) + "\n";
  std::string text;
  for (const std::string& argument : task.arguments.value_or(std::vector<std::string>())) {
    text += Escaped(argument) + '\0';
  }
  return text;
}

/// As kernel: fs/proc/task_mmu.c, show_map_vma: names stand below each other.
std::string MapsText(const std::vector<Mapping>& mappings) {
  static constexpr size_t kNameColumn = 73;
  std::string text;
  for (const Mapping& mapping : mappings) {
    std::array<char, 128> fields{};
    std::snprintf(fields.data(), fields.size(), "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu ",
                  mapping.start, mapping.end, mapping.readable ? 'r' : '-',
                  mapping.writable ? 'w' : '-', mapping.executable ? 'x' : '-',
                  mapping.shared ? 's' : 'p', mapping.offset, mapping.device_major,
                  mapping.device_minor, mapping.inode);
    std::string line = fields.data();
    if (!mapping.name.empty()) {
      line.resize(std::max(line.size(), kNameColumn), ' ');
      line += Escaped(mapping.name) + (mapping.deleted ? " (deleted)" : "");
    }
    text += line + "\n";
  }
  return text;
}

Result<MountText> MountTexts::Get(MountTextKind kind) {
  const std::lock_guard lock(mutex_);
  if (const auto known = made_.find(kind); known != made_.end()) return known->second;
  auto made = Make(kind);
  TellCaveats();
  Result<MountText> text =
      made.ok() ? Result<MountText>(std::make_shared<const std::string>(std::move(made.value())))
                : Result<MountText>(std::move(made.error()));
  if (IsKept(kind)) made_.emplace(kind, text);
  return text;
}

Result<std::string> MountTexts::Make(MountTextKind kind) {
  switch (kind) {
    case MountTextKind::kKallsyms:
      return MakeKallsyms();
    case MountTextKind::kBtf: {
      KCD_ASSIGN(const std::vector<std::byte> bytes, kernel_.session().KernelBtf());
      return std::string(AsText(bytes));
    }
    case MountTextKind::kLog:
      return MakeLog();
    case MountTextKind::kInfo: {
      KCD_ASSIGN(const ImageInfo info, Describe(path_));
      return ToJson(info) + "\n";
    }
  }
  return MakeError(ErrorCode::kNotFound, "no such text");
}

/// The text that was captured or, where there is none, what can be decoded from memory.
Result<std::string> MountTexts::MakeKallsyms() {
  {
    Evidence evidence(kernel_.session().source());
    const std::string_view text = evidence.Text(NoteType::kKallsyms);
    if (!text.empty() && KallsymsShowsAddresses(text)) return std::string(text);
  }
  KCD_ASSIGN(const SymbolTable* table, kernel_.session().Symbols());
  return KallsymsText(*table);
}

Result<std::string> MountTexts::MakeLog() {
  KCD_ASSIGN(const KernelLog log, ReadLog(kernel_));
  for (const std::string& note : log.findings.notes) note_("dmesg: " + note);
  return ToText(log);
}

void MountTexts::TellCaveats() {
  for (const std::string& caveat : kernel_.Caveats()) note_(caveat);
}

Status MountTexts::LoadTasks() {
  const auto now = Clock::now();
  if (tasks_loaded_ && (!live() || now - *tasks_loaded_ < kLiveTasksLast)) {
    return tasks_error_ ? Status(*tasks_error_) : Status();
  }
  tasks_loaded_ = now;
  tasks_error_.reset();
  tasks_.clear();
  auto list = ListTasks(kernel_, {});
  TellCaveats();
  if (!list.ok()) {
    tasks_error_ = std::move(list.error());
    return *tasks_error_;
  }
  for (const std::string& note : list.value().findings.notes) note_("proc: " + note);
  for (Task& task : list.value().tasks) tasks_.emplace(task.pid, std::move(task));
  return {};
}

Result<std::vector<uint32_t>> MountTexts::Pids() {
  const std::lock_guard lock(mutex_);
  KCD_TRY(LoadTasks());
  std::vector<uint32_t> pids;
  pids.reserve(tasks_.size());
  for (const auto& [pid, task] : tasks_) pids.push_back(pid);
  return pids;
}

bool MountTexts::HasPid(uint32_t pid) {
  const std::lock_guard lock(mutex_);
  return LoadTasks().ok() && tasks_.contains(pid);
}

Result<MountText> MountTexts::OfProcess(uint32_t pid, ProcessTextKind kind) {
  const std::lock_guard lock(mutex_);
  KCD_TRY(LoadTasks());
  const auto found = tasks_.find(pid);
  if (found == tasks_.end()) {
    return MakeError(ErrorCode::kNotFound, "no process " + std::to_string(pid));
  }
  if (kind != ProcessTextKind::kMaps) {
    return std::make_shared<const std::string>(ProcessText(found->second, kind));
  }
  KCD_ASSIGN(std::string text, MakeMaps(pid));
  return std::make_shared<const std::string>(std::move(text));
}

Result<std::string> MountTexts::MakeMaps(uint32_t pid) {
  const auto list = ListMappings(kernel_, pid);
  // A kernel thread or a zombie has none.
  if (!list.ok() && list.error().code == ErrorCode::kInvalidArgument) return std::string();
  if (!list.ok()) return list.error();
  for (const std::string& note : list.value().findings.notes) {
    note_("proc/" + std::to_string(pid) + "/maps: " + note);
  }
  return MapsText(list.value().mappings);
}

Result<size_t> MountTexts::ReadProcess(uint32_t pid, uint64_t address, std::span<std::byte> out) {
  const std::lock_guard lock(mutex_);
  std::string failure;
  const Target at{.space = Target::Space::kProcess, .address = address, .pid = pid};
  KCD_ASSIGN(const size_t count, kernel_.Read(at, out, &failure));
  if (count == 0 && !out.empty()) return MakeError(ErrorCode::kUnreadable, failure);
  return count;
}

}  // namespace kcoredump
