// SPDX-License-Identifier: MIT
#include "cmd/capturing.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cmd/events.h"
#include "cmd/progress.h"
#include "kcoredump/tasks.h"
#include "kcoredump/text.h"
#include "kcoredump/vtop.h"

namespace kcoredump::cmd {

namespace {

std::string Summary(const CaptureReport& report) {
  const PageCounts& pages = report.pages;
  std::string text = report.output == "-" ? "standard output" : report.output;
  text += ": " + HumanBytes(report.compressed_bytes) + " for " + HumanBytes(report.plain_bytes) +
          " in " + HumanSeconds(report.seconds) + "; " + Grouped(pages.read()) + " of " +
          Grouped(pages.total()) + " pages read (" + Grouped(report.zero_pages) + " zero, " +
          Grouped(pages.retried) + " retried, " + Grouped(pages.bounced) + " bounced)";
  if (pages.holes() != 0) {
    text += "; holes: " + Grouped(pages.unreadable) + " unreadable, " + Grouped(pages.hwpoison) +
            " hwpoison, " + Grouped(pages.offline) + " offline, " + Grouped(pages.absent) +
            " absent";
  }
  if (pages.excluded != 0) {
    text += "; " + Grouped(pages.excluded) + " excluded";
    const std::string reasons = DescribeExcluded(report.excluded);
    if (!reasons.empty()) text += " (" + reasons + ")";
  }
  if (!report.base.empty()) {
    text += "; " + HumanBytes(report.referenced_bytes) + " are as in " + report.base;
  }
  if (report.early_bytes != 0) text += "; " + HumanBytes(report.early_bytes) + " read first";
  if (report.layout_moves != 0) {
    text += "; " + Grouped(report.layout_moves) + " batches read again, for kcore's layout moved";
  }
  return text;
}

/// Messages are JSON lines, too, where progress is.
void Say(const std::string& message, bool as_json) {
  if (as_json) {
    std::fprintf(stderr, "%s\n", MessageToJson(message).c_str());
  } else {
    PrintNote(message);
  }
}

std::string ShareNumber(double share) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), share < 0.01 ? "%.2f" : "%.1f", 100 * share);
  return text.data();
}

/// "12.4 % (11.8 to 13.1)"
std::string ShareText(const SmearShare& share) {
  return ShareNumber(share.share) + " % (" + ShareNumber(share.low) + " to " +
         ShareNumber(share.high) + ")";
}

std::string DescribeSmear(const SmearReport& smear) {
  std::string text = "smear: of " + Grouped(smear.sampled_pages) + " sampled pages " +
                     ShareText(smear.changed) + " had changed when all was read, " +
                     HumanSeconds(smear.seconds_between) + " after their own turn on average";
  for (const SmearClass& of : smear.classes) {
    text += "; " + std::string(PageKindName(of.kind)) + " " + ShareText(of.changed);
  }
  return text + " (95 % confidence)";
}

std::string DescribeFootprint(const CaptureFootprint& footprint) {
  return "footprint: " + HumanSeconds(footprint.cpu_seconds) + " of CPU time, " +
         Grouped(footprint.dirtied_pages) + " pages of memory taken, " +
         HumanBytes(footprint.page_cache_bytes) + " of the output left in the page cache";
}

void PrintReport(const CaptureReport& report, const std::string& noun, bool as_json) {
  for (const std::string& warning : report.warnings) Say("note: " + warning, as_json);
  Say(Summary(report), as_json);
  if (report.smear) Say(DescribeSmear(*report.smear), as_json);
  Say(DescribeFootprint(report.footprint), as_json);
  if (report.status == CaptureStatus::kPartial) {
    Say("error: the " + noun + " is PARTIAL: " + report.reason + "; what was read is valid" +
            (report.output == "-" ? "" : " in " + report.output),
        as_json);
  } else if (report.status == CaptureStatus::kCompleteWithHoles) {
    Say("the " + noun + " is complete, with " + Grouped(report.pages.holes()) +
            " pages that could not be read; kcoredump info lists them",
        as_json);
  } else {
    Say("the " + noun + " is complete", as_json);
  }
}

constexpr char kOnlyHelp[] =
    " is not what --only takes: kernel, pid:N, range:START-END (physical addresses; END is the "
    "first "
    "byte after), or several of them with commas between";

/// START-END; nothing: something else.
std::optional<PhysRange> ParsePhysRange(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto begin = ParseNumber(text.substr(0, dash));
  const auto end = ParseNumber(text.substr(dash + 1));
  if (!begin || !end || *begin >= *end) return std::nullopt;
  return PhysRange{*begin, *end};
}

/// What one word of --only names, added to `only`. The image is opened for the first process.
int AddWanted(const std::string& word, const std::string& source, std::optional<Kernel>& kernel,
              CaptureOnly& only) {
  constexpr std::string_view kPid = "pid:";
  constexpr std::string_view kRange = "range:";
  if (word == "kernel") {
    only.kernel = true;
    return kExitComplete;
  }
  if (word.starts_with(kRange)) {
    if (const auto range = ParsePhysRange(std::string_view(word).substr(kRange.size()))) {
      only.ranges.push_back(*range);
      return kExitComplete;
    }
  }
  const auto pid = word.starts_with(kPid) ? ParseNumber(std::string_view(word).substr(kPid.size()))
                                          : std::nullopt;
  if (!pid || *pid > ~uint32_t{0}) {
    PrintError("\"" + word + "\"" + kOnlyHelp);
    return kExitUsage;
  }
  if (!kernel) {
    auto opened = Kernel::Open(source);
    if (!opened.ok()) return Fail(opened.error());
    kernel = std::move(opened.value());
  }
  const auto mapped = MappedByProcess(*kernel, static_cast<uint32_t>(*pid));
  if (!mapped.ok()) return FailWhere(mapped.error());
  only.ranges.insert(only.ranges.end(), mapped.value().begin(), mapped.value().end());
  return kExitComplete;
}

int ResolveOnly(CaptureArguments& arguments) {
  if (arguments.only.empty()) return kExitComplete;
  CaptureOnly& only = arguments.options.only.emplace();
  std::optional<Kernel> kernel;
  for (const std::string& list : arguments.only) {
    for (const std::string& word : CLI::detail::split(list, ',')) {
      const int status = AddWanted(word, arguments.options.source, kernel, only);
      if (status != kExitComplete) return status;
    }
  }
  return kExitComplete;
}

/// Without them the order is less good, which is no reason to fail: most of it is in slab.
void FindTasks(CaptureOptions& options) {
  const auto find = [&]() -> Result<std::vector<PhysRange>> {
    auto kernel = Kernel::Open(options.source);
    if (!kernel.ok()) return std::move(kernel.error());
    return TaskMemory(kernel.value());
  };
  auto tasks = find();
  if (tasks.ok()) {
    options.first = std::move(tasks.value());
  } else {
    PrintNote("note: --order volatile: tasks are read with slab: " + tasks.error().message);
  }
}

/// This thread and those that it starts, on CPUs and disks that nobody else wants (sched(7),
/// ioprio_set(2)).
void UseIdleTime() {
  constexpr int kIoprioWhoProcess = 1;
  constexpr int kIoprioIdle = 3 << 13;
  const auto tell = [](const char* what) {
    PrintNote(std::string("note: --idle: ") + what + ": " + std::strerror(errno));
  };
  const sched_param no_priority{};
  if (sched_setscheduler(0, SCHED_IDLE, &no_priority) != 0) tell("SCHED_IDLE");
  if (syscall(SYS_ioprio_set, kIoprioWhoProcess, 0, kIoprioIdle) != 0) tell("the idle I/O class");
}

}  // namespace

int RunCapture(CaptureArguments& arguments, const std::string& noun) {
  // What does not fit is as wrong as what is out of range, and gets the library's own message.
  arguments.options.frame_bytes =
      static_cast<uint32_t>(std::min<uint64_t>(arguments.frame_bytes, ~uint32_t{0}));
  const bool to_pipe = arguments.options.output == "-";
  if (to_pipe && arguments.json) {
    PrintError("--json and an output to - both want standard output; write to a file");
    return kExitUsage;
  }
  if (to_pipe && isatty(STDOUT_FILENO) == 1) {
    PrintError("an image is not for a terminal; redirect it, or name a file");
    return kExitUsage;
  }
  if (const int status = ResolveOnly(arguments); status != kExitComplete) return status;
  if (arguments.idle) UseIdleTime();
  if (arguments.options.order == CaptureOrder::kVolatile) FindTasks(arguments.options);
  arguments.options.cancel = WatchSignals();
  EventLog events(arguments.options.cancel);
  if (!arguments.events.empty()) {
    const Status opened = events.Open(arguments.events, arguments.options.force);
    if (!opened.ok()) return Fail(opened.error());
    if (events.IsStandardOutput() && (to_pipe || arguments.json)) {
      PrintError("--events " + arguments.events +
                 ": standard output has the image or the report already");
      return kExitUsage;
    }
    arguments.options.on_event = [&](const CaptureEvent& event) { events.Write(event); };
  }
  const std::unique_ptr<ProgressDisplay> display = MakeProgressDisplay(arguments.progress);
  arguments.options.on_progress = [&](const CaptureProgress& progress) { display->Show(progress); };
  const auto report = Capture(arguments.options);
  display->Clear();
  if (!report.ok()) {
    const int failed = Fail(report.error());
    return arguments.json ? PrintOut(FailureToJson(report.error().message, failed) + "\n", failed)
                          : failed;
  }
  PrintReport(report.value(), noun, arguments.progress == "json");
  const int status = ExitStatus(report.value());
  return arguments.json ? PrintOut(ToJson(report.value()) + "\n", status) : status;
}

void AddFormatOption(CLI::App& command, const std::string& name, CaptureArguments& arguments) {
  const std::vector<std::string> formats = WritableFormats();
  std::string list;
  for (const std::string& format : formats) list += (list.empty() ? "" : ",") + format;
  command
      .add_option(name, arguments.options.format,
                  "The format that is written; default: as the output's name ends")
      ->option_text("{" + list + "}")
      ->check(CLI::IsMember(formats));
}

void AddCapturingOptions(CLI::App& command, CaptureArguments& arguments) {
  CaptureOptions& options = arguments.options;
  command
      .add_option("--codec", options.codec, "What compresses the pages of a kdump; default zstd")
      ->option_text("{zstd,zlib,lzo,snappy,none}")
      ->check(CLI::IsMember(Codecs()));
  command
      .add_option("--level", options.level,
                  "Level of zstd, from -7 (fastest) to 22, or of zlib, from 1 to 9; default 1")
      ->option_text("N")
      ->check(CLI::Range(MinLevel(), MaxLevel()));
  command.add_flag_callback(
      "--fast", [&options] { options.level = kFastLevel; },
      "As --level -3: a seventh less work, a file an eighth larger");
  command
      .add_option_function<std::string>(
          "--exclude",
          [&options](const std::string& text) {
            auto classes = ParsePageClasses(text);
            if (!classes.ok()) throw CLI::ValidationError("--exclude", classes.error().message);
            options.exclude.Add(classes.value());
          },
          "Pages to leave out, a list: what is free, all zero, page cache, page cache with "
          "private\n"
          "data, processes' own")
      ->option_text("{free,zero,cache,private-cache,user}");
  command
      .add_option_function<unsigned>(
          "-d,--dump-level",
          [&options](unsigned level) { options.exclude.Add(PageClasses(level)); },
          "The same as makedumpfile's -d: 1 zero, 2 cache, 4 private cache, 8 user, 16 free, added "
          "up")
      ->option_text("N")
      ->check(CLI::Range(0U, kMaxDumpLevel));
  command
      .add_option_function<std::string>(
          "--only", [&arguments](const std::string& text) { arguments.only.push_back(text); },
          "Capture just that, a list: what is the kernel's own, what a process has mapped,\n"
          "physical addresses; all other pages are excluded")
      ->option_text("kernel|pid:N|range:START-END,…");
  command
      .add_option("--threads", options.threads,
                  "Threads; default: one for each CPU, as far as 64 MiB of memory go")
      ->option_text("N")
      ->check(CLI::Range(0, 1024));
  command
      .add_option("--retries", options.retries,
                  "How often a failing page is tried again before the bounce buffer; default 3")
      ->option_text("N")
      ->check(CLI::Range(0U, kMaxRetries));
  command
      .add_option("--stall-timeout", options.stall_timeout_seconds,
                  "A read that takes longer ends the capture as partial; default 30")
      ->option_text("SECONDS")
      ->check(CLI::Range(0.001, 1e9));
  command
      .add_option("--frame-size", arguments.frame_bytes,
                  "What is compressed together, a power of two from 4KiB to 1MiB; default: the "
                  "base's, or 256KiB")
      ->option_text("SIZE")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::PositiveNumber);
  command
      .add_option("--base", options.base,
                  "Leave out what is the same in this snapshot, beside which the output then "
                  "opens")
      ->option_text("OLD")
      ->check(NotEmpty());
  command.add_flag("--hashes", options.hashes,
                   "Keep each frame's SHA-256: a capture with this one as its --base then does "
                   "not read it,\nand takes it for sound (`kcoredump verify` tells whether it is)");
  command
      .add_option("--max-rate", options.max_bytes_per_second,
                  "Read no more than that in a second; default: no limit")
      ->option_text("SIZE")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::PositiveNumber);
  command.add_flag("--idle", arguments.idle, "Only use CPU time and disks that nobody else wants");
  command.add_flag("--force", options.force, "Replace an existing output or events file");
  command.add_flag("--json", arguments.json, "One JSON report on standard output");
  command
      .add_option("--progress", arguments.progress,
                  "On standard error; default auto: a bar on a terminal")
      ->option_text("{auto,bar,json,none}")
      ->check(CLI::IsMember({"auto", "bar", "json", "none"}));
  command
      .add_option("--events", arguments.events,
                  "What happens (start, progress, hole, warning, finish), one JSON object a line,\n"
                  "to a file or to an open descriptor by its number")
      ->option_text("FD|FILE")
      ->check(NotEmpty());
}

}  // namespace kcoredump::cmd
