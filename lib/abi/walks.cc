// SPDX-License-Identifier: MIT
//
// Tasks and page-table walks.
#include <memory>

#include "abi/handles.h"
#include "base/try.h"
#include "kcoredump/tasks.h"
#include "kcoredump/vtop.h"

struct kcd_tasks {
  kcoredump::TaskList list;
  std::vector<std::string> commands;  ///< of each task, joined
  std::string notes;
};

struct kcd_translation {
  kcoredump::TranslationAnswer answer;
  std::vector<std::string> flags;  ///< of each level, joined
  std::string notes;
};

namespace kcoredump::abi {

namespace {

std::string JoinedWords(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

}  // namespace

}  // namespace kcoredump::abi

using namespace kcoredump;
using abi::Guarded;
using abi::NullArgument;

int kcd_tasks_list(kcd_image* image, uint32_t flags, kcd_tasks** tasks, kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (image == nullptr || tasks == nullptr) return NullArgument("image or tasks");
    *tasks = nullptr;
    if ((flags & ~KCD_TASK_THREADS) != 0) {
      return MakeError(ErrorCode::kUnsupported, "flags that this library does not know");
    }
    TaskOptions options;
    options.threads = flags != 0;
    auto made = std::make_unique<kcd_tasks>();
    {
      const std::lock_guard hold(image->lock);
      KCD_ASSIGN(made->list, ListTasks(image->kernel, options));
    }
    for (const Task& task : made->list.tasks) {
      made->commands.push_back(task.arguments ? abi::JoinedWords(*task.arguments) : "");
    }
    made->notes = abi::Lines(made->list.findings.notes);
    *tasks = made.release();
    return {};
  });
}

size_t kcd_tasks_count(const kcd_tasks* tasks) {
  return tasks == nullptr ? 0 : tasks->list.tasks.size();
}

int kcd_tasks_get(const kcd_tasks* tasks, size_t index, kcd_task* task, kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (index >= kcd_tasks_count(tasks)) return InvalidArgument("no such task in the list");
    const Task& found = tasks->list.tasks[index];
    return abi::FillStruct(task,
                           {.size = 0,
                            .address = found.address,
                            .start_ns = found.start_ns.value_or(KCD_UNKNOWN),
                            .rss_bytes = found.rss_bytes.value_or(KCD_UNKNOWN),
                            .comm = found.comm.c_str(),
                            .command = tasks->commands[index].c_str(),
                            .pid = found.pid,
                            .tgid = found.tgid,
                            .ppid = found.ppid,
                            .uid = found.uid.value_or(UINT32_MAX),
                            .cpu = found.cpu.value_or(UINT32_MAX),
                            .threads = found.threads,
                            .state = found.state,
                            .kernel_thread = found.kernel_thread},
                           "task");
  });
}

const char* kcd_tasks_notes(const kcd_tasks* tasks) {
  return tasks == nullptr ? "" : tasks->notes.c_str();
}

int kcd_tasks_incomplete(const kcd_tasks* tasks) {
  return tasks != nullptr && tasks->list.findings.incomplete ? 1 : 0;
}

void kcd_tasks_free(kcd_tasks* tasks) { delete tasks; }

int kcd_translate(kcd_image* image, kcd_address at, kcd_translation** translation,
                  kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (image == nullptr || translation == nullptr) return NullArgument("image or translation");
    *translation = nullptr;
    if (at.space > KCD_PROCESS) return InvalidArgument("no space has that number");
    const Target target{
        .space = static_cast<Target::Space>(at.space), .address = at.address, .pid = at.pid};
    auto made = std::make_unique<kcd_translation>();
    {
      const std::lock_guard hold(image->lock);
      KCD_ASSIGN(made->answer, TranslateAddress(image->kernel, target));
    }
    for (const TranslationStep& step : made->answer.steps) {
      made->flags.push_back(abi::JoinedWords(step.flags));
    }
    made->notes = abi::Lines(made->answer.findings.notes);
    *translation = made.release();
    return {};
  });
}

uint64_t kcd_translation_physical(const kcd_translation* translation) {
  return translation == nullptr ? KCD_NO_ADDRESS
                                : translation->answer.physical.value_or(KCD_NO_ADDRESS);
}

uint64_t kcd_translation_page_bytes(const kcd_translation* translation) {
  return translation == nullptr ? 0 : translation->answer.page_bytes;
}

size_t kcd_translation_level_count(const kcd_translation* translation) {
  return translation == nullptr ? 0 : translation->answer.steps.size();
}

int kcd_translation_level(const kcd_translation* translation, size_t index, kcd_level* level,
                          kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (index >= kcd_translation_level_count(translation)) return InvalidArgument("no such level");
    const TranslationStep& step = translation->answer.steps[index];
    return abi::FillStruct(level,
                           {.size = 0,
                            .level = step.level.c_str(),
                            .kind = step.kind.c_str(),
                            .flags = translation->flags[index].c_str(),
                            .table = step.table,
                            .index = step.index,
                            .entry_address = step.entry_address,
                            .entry = step.entry},
                           "level");
  });
}

const char* kcd_translation_notes(const kcd_translation* translation) {
  return translation == nullptr ? "" : translation->notes.c_str();
}

void kcd_translation_free(kcd_translation* translation) { delete translation; }
