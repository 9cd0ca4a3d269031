// SPDX-License-Identifier: MIT
#include "kcoredump/check.h"

#include <algorithm>

#include "base/error.h"
#include "base/try.h"
#include "inspect/check/check_text.h"
#include "inspect/check/checks.h"

namespace kcoredump {

namespace {

class CheckRun {
 public:
  CheckRun(Session& session, const CheckOptions& options) : session_(session), options_(options) {}

  [[nodiscard]] Result<CheckReport> Run();

 private:
  void RunAll(const CheckSources& sources, CheckReport& out);
  [[nodiscard]] Result<ModuleList> WalkModulesNow(const TaskSources& kernel);
  void Take(CheckLog& log, CheckReport& out);

  Session& session_;
  const CheckOptions& options_;
};

/// The session keeps its first list; a live kernel is looked at again.
Result<ModuleList> CheckRun::WalkModulesNow(const TaskSources& kernel) {
  KCD_ASSIGN(const uint64_t head, session_.SymbolAddress("modules"));
  return WalkModules(kernel.kernel, kernel.types, head);
}

void CheckRun::Take(CheckLog& log, CheckReport& out) {
  for (CheckFinding& finding : log.findings()) out.findings.push_back(std::move(finding));
  out.notes.incomplete |= log.lost();
  LimitNotes(log.summary().unchecked);
  out.checks.push_back(std::move(log.summary()));
}

void CheckRun::RunAll(const CheckSources& sources, CheckReport& out) {
  const auto run = [&](const char* name, const char* compared, const auto& check) {
    CheckLog log(sources, name, compared);
    check(log);
    Take(log, out);
  };
  run("syscalls", "tables of system calls with the kernel's functions",
      [&](CheckLog& log) { CheckSyscalls(sources, log); });
  run("idt", "interrupt gates with the kernel's text",
      [&](CheckLog& log) { CheckIdt(sources, log); });
  run("ftrace", "ftrace_ops_list and ftrace's records with none",
      [&](CheckLog& log) { CheckFtrace(sources, log); });
  run("kprobes", "kprobe_table with none", [&](CheckLog& log) { CheckKprobes(sources, log); });
  run("notifiers", "notifier chains with the text of kernel and modules",
      [&](CheckLog& log) { CheckNotifiers(sources, log); });
  const auto sockets = WalkSockets(sources.kernel);
  const SocketList none;
  const SocketList& found = sockets.ok() ? sockets.value() : none;
  run("operations", "tables of operations with the text of kernel and modules",
      [&](CheckLog& log) { CheckOperations(sources, found, log); });
  run("modules", "the list of modules with the kernel's other lists", [&](CheckLog& log) {
    const auto areas = session_.WalkVmalloc();
    CheckModules(sources, areas.ok() ? &areas.value() : nullptr, log);
  });
  run("processes", "the list of processes with the kernel's other lists",
      [&](CheckLog& log) { CheckProcesses(sources, log); });
  run("sockets", "the kernel's tables of sockets with what processes have open",
      [&](CheckLog& log) {
        if (!sockets.ok()) return log.Unchecked(sockets.error().message);
        CheckSockets(sources, found, log);
      });
}

Result<CheckReport> CheckRun::Run() {
  CheckReport report;
  KCD_ASSIGN(const TaskSources kernel, TaskSourcesOf(session_));
  auto symbols = session_.Symbols();
  if (!symbols.ok()) return std::move(symbols.error());
  ModuleList modules;
  auto walked = WalkModulesNow(kernel);
  if (walked.ok()) {
    modules = std::move(walked.value());
  } else {
    modules.notes.push_back("modules are not known, and their code is taken for a stranger's: " +
                            walked.error().message);
    report.notes.Lost(modules.notes.back());
  }
  auto code = CodeMap::Create(kernel, modules, modules.notes);
  if (!code.ok()) {
    code.error().code = ErrorCode::kUnsupported;
    return std::move(code.error());
  }
  const CheckSources sources{
      .kernel = kernel, .code = code.value(), .symbols = *symbols.value(), .modules = modules};
  RunAll(sources, report);
  CheckLog text(sources, "text", "the kernel's and modules' text with another image or its file");
  KCD_TRY(CheckText(session_, sources, options_, text));
  Take(text, report);
  return report;
}

bool IsRaceProne(const CheckFinding& finding) { return finding.kind != "hook"; }

/// What was found twice.
void KeepWhatStays(const CheckReport& again, CheckReport& report) {
  std::erase_if(report.findings, [&](const CheckFinding& finding) {
    if (!IsRaceProne(finding) ||
        std::find(again.findings.begin(), again.findings.end(), finding) != again.findings.end()) {
      return false;
    }
    for (CheckSummary& check : report.checks) {
      if (check.name == finding.check) --check.findings;
    }
    return true;
  });
}

}  // namespace

Result<CheckReport> CheckKernel(Kernel& kernel, const CheckOptions& options) {
  CheckRun run(kernel.session(), options);
  KCD_ASSIGN(CheckReport report, run.Run());
  // Lists of a live kernel change under a walk.
  constexpr int kAttempts = 3;
  for (int i = 1; i < kAttempts && kernel.session().live(); ++i) {
    const bool lost = report.notes.incomplete;
    if (!lost && std::none_of(report.findings.begin(), report.findings.end(), IsRaceProne)) break;
    KCD_ASSIGN(CheckReport again, run.Run());
    if (lost) {
      report = std::move(again);
    } else {
      KeepWhatStays(again, report);
    }
  }
  return report;
}

}  // namespace kcoredump
