// SPDX-License-Identifier: MIT
#include "inspect/json_text.h"
#include "kcoredump/carve.h"
#include "kcoredump/text.h"

namespace kcoredump {

std::string ToText(const CarveReport& report) {
  const CarvePages& pages = report.pages;
  std::string text = Escaped(report.path) + ": process " + std::to_string(report.pid) + " (" +
                     Escaped(report.comm) + "), " + std::to_string(report.threads) +
                     (report.threads == 1 ? " thread, " : " threads, ") + Grouped(report.mappings) +
                     " mappings, " + HumanBytes(report.file_bytes) + "\n";
  const auto line = [&](uint64_t count, const char* what) {
    if (count != 0) text += "  " + Grouped(count) + " pages " + what + "\n";
  };
  line(pages.read, "in the core");
  line(pages.untouched, "never written: zeros");
  line(pages.in_file, "of files, or the kernel's own, not mapped now: debuggers ask the files");
  line(pages.swapped, "swapped out: gaps in the core");
  line(pages.unreadable, "not in the image: gaps in the core");
  return text;
}

std::string ToJson(const CarveReport& report) {
  const CarvePages& pages = report.pages;
  return JsonText({{"path", report.path},
                   {"pid", report.pid},
                   {"comm", report.comm},
                   {"page_bytes", report.page_bytes},
                   {"threads", report.threads},
                   {"mappings", report.mappings},
                   {"pages",
                    {{"read", pages.read},
                     {"untouched", pages.untouched},
                     {"in_file", pages.in_file},
                     {"swapped", pages.swapped},
                     {"unreadable", pages.unreadable}}},
                   {"file_bytes", report.file_bytes},
                   {"notes", report.findings.notes},
                   {"incomplete", report.findings.incomplete}});
}

}  // namespace kcoredump
