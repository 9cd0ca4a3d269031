// SPDX-License-Identifier: MIT
#include "inspect/task/process_memory.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/error.h"
#include "base/try.h"

namespace kcoredump {

namespace {

/// Any more is not a count of pages.
constexpr uint64_t kMaxRssPages = uint64_t{1} << 40;

/// What counts as resident (kernel: include/linux/mm.h, get_mm_rss), by the names of enum values
/// in include/linux/mm_types_task.h.
constexpr std::array kResident = {"MM_FILEPAGES", "MM_ANONPAGES", "MM_SHMEMPAGES"};

}  // namespace

std::vector<std::string> SplitArguments(std::string_view text) {
  std::vector<std::string> arguments;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\0'), text.size());
    arguments.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return arguments;
}

ProcessMemoryReader::ProcessMemoryReader(const TaskSources& sources,
                                         std::vector<std::string>& notes)
    : sources_(sources) {
  auto layout = Layout::Of(sources.types, "struct mm_struct");
  if (!layout.ok()) {
    notes.push_back(layout.error().message + ": memory and arguments of processes are not known");
    return;
  }
  layout_ = std::move(layout.value());
  pgd_ = layout_->Find("pgd", "arguments of processes are not known", notes);
  arg_start_ = layout_->Find("arg_start", "arguments of processes are not known", notes);
  arg_end_ = layout_->Find("arg_end", "arguments of processes are not known", notes);
  env_start_ = layout_->Find("env_start");
  env_end_ = layout_->Find("env_end");
  FindCounters(notes);
}

/// Plain counts up to 6.1; since 6.2 (f1a7941243c1) an array of percpu_counter, each with what the
/// CPUs have not yet added to it.
void ProcessMemoryReader::FindCounters(std::vector<std::string>& notes) {
  for (const char* name : kResident) {
    const auto index = sources_.types.Enumerator(name);
    if (!index.ok()) {
      notes.push_back(index.error().message + ": resident memory is not known");
      counters_.clear();
      return;
    }
    const std::string at = "[" + std::to_string(index.value()) + "]";
    Counter counter{.count = layout_->Find("rss_stat" + at + ".count"),
                    .per_cpu = layout_->Find("rss_stat" + at + ".counters")};
    if (!counter.count.known()) {
      counter.count = layout_->Find("rss_stat.count" + at + ".counter");
      counter.per_cpu = {};
    }
    if (!counter.count.known()) {
      notes.emplace_back("struct mm_struct has no rss_stat that is known: resident memory is not");
      counters_.clear();
      return;
    }
    counters_.push_back(counter);
  }
  if (counters_.front().per_cpu.known()) FindCpus(notes);
}

void ProcessMemoryReader::FindCpus(std::vector<std::string>& notes) {
  cpus_ = CpusOf(sources_, "__cpu_possible_mask");
  if (cpus_.empty()) {
    notes.emplace_back(
        "__per_cpu_offset or __cpu_possible_mask is missing: resident memory is off by what each "
        "CPU has not yet added to it");
  }
}

std::optional<int64_t> ProcessMemoryReader::SumOverCpus(uint64_t per_cpu) {
  int64_t sum = 0;
  for (const CpuArea& cpu : cpus_) {
    const auto part = sources_.kernel.ReadValue<int32_t>(per_cpu + cpu.offset);
    if (!part.ok()) return std::nullopt;
    sum += part.value();
  }
  return sum;
}

std::optional<uint64_t> ProcessMemoryReader::Rss() {
  if (counters_.empty()) return std::nullopt;
  uint64_t pages = 0;
  for (const Counter& counter : counters_) {
    const auto count = static_cast<int64_t>(record_.Unsigned(counter.count));
    std::optional<int64_t> extra = 0;
    if (counter.per_cpu.known()) extra = SumOverCpus(record_.Unsigned(counter.per_cpu));
    int64_t sum = 0;
    if (!extra || __builtin_add_overflow(count, *extra, &sum)) return std::nullopt;
    pages += static_cast<uint64_t>(std::max<int64_t>(sum, 0));
    if (pages > kMaxRssPages) return std::nullopt;
  }
  return pages * sources_.page_bytes;
}

/// As fs/proc/base.c, get_mm_cmdline: where the last NUL was overwritten, the process has written a
/// title of its own (setproctitle), which may run on into its environment.
void ProcessMemoryReader::ReadArguments(ProcessMemory& out) {
  const uint64_t start = record_.Unsigned(arg_start_);
  const uint64_t end = record_.Unsigned(arg_end_);
  if (out.pgd == 0 || start == 0 || end <= start) return;
  auto space = sources_.process_space(out.pgd);
  if (!space.ok()) return;
  std::string text(std::min<uint64_t>(end - start, kMaxArgumentBytes), '\0');
  if (!space.value()->Read(start, std::as_writable_bytes(std::span(text))).ok()) return;
  out.arguments_cut = text.size() < end - start;
  if (!out.arguments_cut && text.back() != '\0') {
    const uint64_t env_end = record_.Unsigned(env_end_);
    if (record_.Unsigned(env_start_) == end && env_end > end) {
      std::string more(std::min<uint64_t>(env_end - end, kMaxArgumentBytes - text.size()), '\0');
      if (space.value()->Read(end, std::as_writable_bytes(std::span(more))).ok()) text += more;
    }
    text.resize(std::min(text.find('\0'), text.size()));
  }
  out.arguments = SplitArguments(text);
}

const ProcessMemory* ProcessMemoryReader::Of(uint64_t mm) {
  const auto [entry, is_new] = known_.try_emplace(mm);
  std::optional<ProcessMemory>& known = entry->second;
  if (is_new && layout_ && record_.Load(sources_.kernel, mm, layout_->bytes()).ok()) {
    known.emplace();
    known->pgd = record_.Unsigned(pgd_);
    known->rss_bytes = Rss();
    ReadArguments(*known);
  }
  return known ? &*known : nullptr;
}

Result<uint64_t> ProcessMemoryReader::RootOf(uint64_t mm) {
  if (!layout_ || !pgd_.known()) {
    return MakeError(ErrorCode::kNotFound, "BTF does not tell where mm_struct.pgd is");
  }
  return sources_.kernel.ReadValue<uint64_t>(mm + pgd_.offset);
}

}  // namespace kcoredump
