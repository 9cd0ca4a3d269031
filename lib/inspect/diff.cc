// SPDX-License-Identifier: MIT
//
// Two images of one boot, list by list and page by page.
#include <algorithm>
#include <map>
#include <tuple>

#include "base/error.h"
#include "base/try.h"
#include "inspect/boot_identity.h"
#include "inspect/check/text_compare.h"
#include "inspect/check/text_sites.h"
#include "kcoredump/check.h"
#include "kcoredump/modules.h"
#include "kcoredump/mounts.h"
#include "kcoredump/sockets.h"
#include "kcoredump/tasks.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxPageChanges = 4096;

/// What is compared of one thing.
struct Item {
  std::string object;
  uint64_t address = 0;
  std::vector<std::pair<std::string, std::string>> facts{};  ///< those that may change, by name
};
using Items = std::map<std::string, Item>;  ///< by what makes it the same thing in both

std::string JoinedWords(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

Items ProcessItems(const TaskList& list) {
  Items items;
  for (const Task& task : list.tasks) {
    const std::string pid = std::to_string(task.pid);
    items[pid + "@" + std::to_string(task.start_ns.value_or(0))] = {
        .object = "PID " + pid + " " + task.comm,
        .address = task.address,
        .facts = {
            {"name", task.comm},
            {"arguments", JoinedWords(task.arguments.value_or(std::vector<std::string>()), " ")},
            {"uid", task.uid ? std::to_string(*task.uid) : "-"},
            {"parent", std::to_string(task.ppid)}}};
  }
  return items;
}

Items ModuleItems(const ModuleInfos& list) {
  Items items;
  for (const ModuleInfo& module : list.modules) {
    items[module.name + "@" + Hex(module.address)] = {
        .object = "module " + module.name,
        .address = module.address,
        .facts = {{"base", HexAddress(module.base)},
                  {"bytes", std::to_string(module.size_bytes)},
                  {"state", module.state},
                  {"taints", module.taints}}};
  }
  return items;
}

Items SocketItems(const SocketList& list) {
  Items items;
  for (const SocketInfo& socket : list.sockets) {
    const auto end = [](const std::string& address, uint32_t port) {
      return address + (port == 0 ? "" : ":" + std::to_string(port));
    };
    std::vector<std::string> owners;
    for (const SocketOwner& owner : socket.owners) {
      owners.push_back(owner.comm + "/" + std::to_string(owner.pid) + ":" +
                       std::to_string(owner.descriptor));
    }
    const std::string local = end(socket.local, socket.local_port);
    const std::string remote = end(socket.remote, socket.remote_port);
    items[socket.protocol + " " + std::to_string(socket.inode) + "@" + Hex(socket.address)] = {
        .object = JoinedWords({socket.protocol, socket.state, local, remote}, " "),
        .address = socket.address,
        .facts = {{"state", socket.state},
                  {"local", local},
                  {"remote", remote},
                  {"processes", JoinedWords(owners, ",")}}};
  }
  return items;
}

Items MountItems(const MountList& list) {
  Items items;
  for (const MountInfo& mount : list.mounts) {
    items[std::to_string(mount.id) + "@" + Hex(mount.address)] = {
        .object = mount.type + " on " + mount.mount_point,
        .address = mount.address,
        .facts = {{"mount point", mount.mount_point},
                  {"source", mount.source},
                  {"options", JoinedWords(mount.options, ",")},
                  {"file system's options", JoinedWords(mount.super_options, ",")}}};
  }
  return items;
}

/// All that was found, but for text: that is compared here.
Items HookItems(const CheckReport& report) {
  Items items;
  for (const CheckFinding& finding : report.findings) {
    items[finding.text] = {.object = finding.text, .address = finding.address};
  }
  return items;
}

class Differ {
 public:
  Differ(Kernel& old_kernel, Kernel& new_kernel, KernelDiff& out)
      : old_(old_kernel), new_(new_kernel), out_(out) {}

  template <typename Ask, typename ToItems>
  void CompareLists(const char* what, const Ask& ask, const ToItems& to_items);
  void CompareHooks();
  void ComparePages(const char* what, const char* first, const char* last, bool is_text);

 private:
  void CompareItems(const char* what, const Items& before, const Items& after);
  void AddChange(const char* what, const char* change, const Item& item, std::string detail);
  void TakeFindings(const std::string& path, const Findings& findings);
  void AddPages(const char* what, const TextComparison& compared);

  Kernel& old_;
  Kernel& new_;
  KernelDiff& out_;
};

void Differ::TakeFindings(const std::string& path, const Findings& findings) {
  for (const std::string& note : findings.notes) out_.findings.Add(path + ": " + note);
  out_.findings.incomplete |= findings.incomplete;
}

void Differ::AddChange(const char* what, const char* change, const Item& item, std::string detail) {
  out_.changes.push_back({.what = what,
                          .change = change,
                          .object = item.object,
                          .address = item.address,
                          .symbol = new_.Symbolize(item.address),
                          .detail = std::move(detail)});
}

void Differ::CompareItems(const char* what, const Items& before, const Items& after) {
  for (const auto& [key, item] : before) {
    if (after.count(key) == 0) AddChange(what, "removed", item, {});
  }
  for (const auto& [key, item] : after) {
    const auto old = before.find(key);
    if (old == before.end()) {
      AddChange(what, "added", item, {});
      continue;
    }
    std::string detail;
    for (size_t i = 0; i < item.facts.size(); ++i) {
      const auto& [name, value] = item.facts[i];
      const std::string& was = old->second.facts[i].second;
      if (was == value) continue;
      detail += (detail.empty() ? "" : "; ") + name + ": " + was + " → " + value;
    }
    if (!detail.empty()) AddChange(what, "changed", item, detail);
  }
}

template <typename Ask, typename ToItems>
void Differ::CompareLists(const char* what, const Ask& ask, const ToItems& to_items) {
  const auto before = ask(old_);
  const auto after = ask(new_);
  if (!before.ok() || !after.ok()) {
    const Error& error = before.ok() ? after.error() : before.error();
    return out_.findings.Add(std::string(what) + " entries are not compared: " + error.message);
  }
  TakeFindings(out_.old_path, before.value().findings);
  TakeFindings(out_.new_path, after.value().findings);
  CompareItems(what, to_items(before.value()), to_items(after.value()));
}

void Differ::CompareHooks() {
  const auto before = CheckKernel(old_);
  const auto after = CheckKernel(new_);
  if (!before.ok() || !after.ok()) {
    const Error& error = before.ok() ? after.error() : before.error();
    return out_.findings.Add("hooks are not compared: " + error.message);
  }
  CompareItems("hook", HookItems(before.value()), HookItems(after.value()));
}

/// A page each, with how many bytes of it are others.
void Differ::AddPages(const char* what, const TextComparison& compared) {
  struct Page {
    uint64_t first = 0;
    uint64_t bytes = 0;
    uint64_t places = 0;
  };
  std::map<uint64_t, Page> pages;
  for (const TextDifference& difference : compared.differences) {
    Page& page = pages[difference.address / kSmallestPageBytes * kSmallestPageBytes];
    if (page.places++ == 0) page.first = difference.address;
    page.bytes += difference.is.size();
  }
  for (const auto& [address, page] : pages) {
    AddChange(what, "changed", {.object = new_.Symbolize(page.first), .address = page.first},
              "bytes that differ: " + std::to_string(page.bytes) +
                  ", places: " + std::to_string(page.places) + ", page " + HexAddress(address));
  }
  if (compared.cut)
    out_.findings.Add(std::string(what) + " differs in more places than are listed");
  if (compared.unread_bytes != 0) {
    out_.findings.Lost(Grouped(compared.unread_bytes / kSmallestPageBytes) + " pages of " + what +
                       " cannot be compared: " + compared.unread_reason);
  }
}

void Differ::ComparePages(const char* what, const char* first, const char* last, bool is_text) {
  Session& before = old_.session();
  Session& after = new_.session();
  const auto begin = after.FindSymbol(first);
  const auto end = after.FindSymbol(last);
  if (!begin || !end || *begin >= *end) {
    return out_.findings.Add(std::string(what) + " is not compared: this kernel has no symbols " +
                             first + " and " + last);
  }
  TextSites old_sites(before);
  TextSites new_sites(after);
  const TextReference reference{
      .read = [&](uint64_t at, std::span<std::byte> out) { return before.kernel().Read(at, out); },
      .slide = 0,
      .targets = {}};
  const TextComparison compared = CompareText(
      after.kernel(), {*begin, *end}, reference, kMaxPageChanges,
      [&](uint64_t at) { return is_text && (old_sites.Covers(at) || new_sites.Covers(at)); });
  AddPages(what, compared);
  for (const TextSites* sites : {&old_sites, &new_sites}) {
    for (std::string& note : sites->Notes()) out_.findings.Add(std::move(note));
  }
}

}  // namespace

Result<KernelDiff> DiffKernels(const std::string& old_path, const std::string& new_path) {
  KCD_ASSIGN(Kernel before, Kernel::Open(old_path));
  KCD_ASSIGN(Kernel after, Kernel::Open(new_path));
  KCD_TRY(CheckSameBuild(before.session(), after.session()));
  KCD_ASSIGN(const bool same_boot, IsSameBoot(before.session(), after.session()));
  if (!same_boot) {
    return MakeError(ErrorCode::kUnsupported,
                     old_path + " and " + new_path +
                         " are of different boots: no list of the one tells of the other (their "
                         "text is compared by check --against)");
  }
  KernelDiff diff{.old_path = old_path, .new_path = new_path, .changes = {}, .findings = {}};
  Differ differ(before, after, diff);
  const TaskOptions all{};
  differ.CompareLists(
      "process", [&](Kernel& kernel) { return ListTasks(kernel, all); }, ProcessItems);
  differ.CompareLists(
      "module", [](Kernel& kernel) { return ListModules(kernel); }, ModuleItems);
  differ.CompareLists(
      "socket", [](Kernel& kernel) { return ListSockets(kernel); }, SocketItems);
  differ.CompareLists(
      "mount", [](Kernel& kernel) { return ListMounts(kernel); }, MountItems);
  differ.CompareHooks();
  differ.ComparePages("text", "_stext", "_etext", true);
  differ.ComparePages("rodata", "__start_rodata", "__end_rodata", false);
  for (Kernel* kernel : {&before, &after}) {
    for (std::string& caveat : kernel->Caveats()) diff.findings.Add(std::move(caveat));
    if (kernel->torn()) diff.findings.incomplete = true;
  }
  return diff;
}

}  // namespace kcoredump
