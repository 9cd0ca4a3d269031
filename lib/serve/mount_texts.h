// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "inspect/session.h"
#include "kcoredump/kernel.h"
#include "kcoredump/maps.h"
#include "kcoredump/tasks.h"

namespace kcoredump {

/// Immutable once made.
using MountText = std::shared_ptr<const std::string>;

/// The files that tell of the kernel as a whole.
enum class MountTextKind : uint8_t { kKallsyms, kBtf, kLog, kInfo };
/// Those of a process.
enum class ProcessTextKind : uint8_t { kComm, kCommandLine, kMaps };

// As the files of /proc/PID, but with control characters escaped: people show them on terminals.

/// comm or cmdline.
[[nodiscard]] std::string ProcessText(const Task& task, ProcessTextKind kind);
[[nodiscard]] std::string MapsText(const std::vector<Mapping>& mappings);

/// What a kernel tells, as files. Any thread may call any method; they take turns, for there is one
/// Kernel. A dead kernel's texts are made once, a live one's at each call.
class MountTexts {
 public:
  using TellNote = std::function<void(const std::string&)>;

  /// `path`: what `kernel` was opened as. `note` is told what weakens the texts, each time.
  MountTexts(Kernel kernel, std::string path, TellNote note)
      : kernel_(std::move(kernel)), path_(std::move(path)), note_(std::move(note)) {}

  [[nodiscard]] Kernel& kernel() { return kernel_; }

  /// Whether the text is made once: any of a dead kernel; of a live one what never changes.
  [[nodiscard]] bool IsKept(MountTextKind kind) { return !live() || kind == MountTextKind::kBtf; }
  /// kNotFound: the image does not have it.
  [[nodiscard]] Result<MountText> Get(MountTextKind kind);
  /// Processes, by pid. A live kernel's are at most a second old.
  [[nodiscard]] Result<std::vector<uint32_t>> Pids();
  [[nodiscard]] bool HasPid(uint32_t pid);
  /// kNotFound: no such process.
  [[nodiscard]] Result<MountText> OfProcess(uint32_t pid, ProcessTextKind kind);
  /// A process's memory from `address` up to the first byte that is not there: how much was read;
  /// an error that says why when it is nothing.
  [[nodiscard]] Result<size_t> ReadProcess(uint32_t pid, uint64_t address,
                                           std::span<std::byte> out);

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] Result<std::string> Make(MountTextKind kind);
  [[nodiscard]] Result<std::string> MakeKallsyms();
  [[nodiscard]] Result<std::string> MakeLog();
  [[nodiscard]] Status LoadTasks();
  [[nodiscard]] Result<std::string> MakeMaps(uint32_t pid);
  void TellCaveats();
  [[nodiscard]] bool live() const { return kernel_.session().live(); }

  std::mutex mutex_;
  Kernel kernel_;
  std::string path_;
  TellNote note_;
  std::map<MountTextKind, Result<MountText>> made_;  ///< what is kept
  std::map<uint32_t, Task> tasks_;
  std::optional<Clock::time_point> tasks_loaded_;
  std::optional<Error> tasks_error_;
};

}  // namespace kcoredump
