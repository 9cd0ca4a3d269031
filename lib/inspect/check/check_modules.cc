// SPDX-License-Identifier: MIT
//
// A module is in the list of modules, in sysfs's and in the tree by address (kernel:
// kernel/module/, include/linux/rbtree_latch.h).
#include <map>
#include <set>

#include "base/error.h"
#include "inspect/check/checks.h"
#include "inspect/check/ftrace_records.h"
#include "kcoredump/text.h"
#include "symbol/tree_walk.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxTreeNodes = kMaxModules * 8;  // one for each part of a module's memory

/// Struct modules, by address; nothing: this kernel's list cannot be walked.
using Modules = std::optional<std::set<uint64_t>>;

class ModuleChecker {
 public:
  ModuleChecker(const CheckSources& sources, CheckLog& log) : sources_(sources), log_(log) {
    for (const LoadedModule& module : sources.modules.modules) listed_[module.address] = &module;
  }

  void Compare();
  void CheckAreas(const VmallocAreas& areas);
  void CheckRecords();

 private:
  [[nodiscard]] Result<std::set<uint64_t>> WalkSysfs();
  [[nodiscard]] Result<std::set<uint64_t>> WalkTrees();
  [[nodiscard]] Modules Found(const char* what, Result<std::set<uint64_t>> walked);
  void CompareWith(const char* where, const std::set<uint64_t>& there);
  [[nodiscard]] std::string NameOfModule(uint64_t module) const;

  const CheckSources& sources_;
  CheckLog& log_;
  std::map<uint64_t, const LoadedModule*> listed_;
};

std::string ModuleChecker::NameOfModule(uint64_t module) const {
  const auto layout = Layout::Of(sources_.kernel.types, "struct module");
  const Field name = layout.ok() ? layout.value().Find("name") : Field{};
  if (!name.known()) return {};
  auto text = sources_.kernel.kernel.ReadString(module + name.offset, name.bytes);
  return text.ok() ? std::move(text.value()) : std::string();
}

/// Kobjects of module_kset; those of built-in modules have no struct module.
Result<std::set<uint64_t>> ModuleChecker::WalkSysfs() {
  const auto symbol = sources_.kernel.symbol("module_kset");
  if (!symbol) return MakeError(ErrorCode::kNotFound, "this kernel has no symbol module_kset");
  KCD_ASSIGN(const Layout kset, Layout::Of(sources_.kernel.types, "struct kset"));
  KCD_ASSIGN(const Field list, kset.Need("list"));
  KCD_ASSIGN(const Layout object, Layout::Of(sources_.kernel.types, "struct module_kobject"));
  KCD_ASSIGN(const Field links, object.Need("kobj.entry"));
  KCD_ASSIGN(const Field module, object.Need("mod"));
  KCD_ASSIGN(const uint64_t head, sources_.kernel.kernel.ReadValue<uint64_t>(*symbol));
  std::set<uint64_t> found;
  log_.VisitList(head + list.offset, links.offset, kMaxModules * 4, "sysfs's list of modules",
                 [&](uint64_t at) {
                   const uint64_t address = sources_.WordAt(at + module.offset);
                   if (address != 0) found.insert(address);
                 });
  return found;
}

/// Both trees of the latch: one of them may be in the making.
Result<std::set<uint64_t>> ModuleChecker::WalkTrees() {
  const auto symbol = sources_.kernel.symbol("mod_tree");
  if (!symbol) return MakeError(ErrorCode::kNotFound, "this kernel has no symbol mod_tree");
  KCD_ASSIGN(const Layout root, Layout::Of(sources_.kernel.types, "struct mod_tree_root"));
  KCD_ASSIGN(const Layout node, Layout::Of(sources_.kernel.types, "struct mod_tree_node"));
  KCD_ASSIGN(const Field module, node.Need("mod"));
  std::set<uint64_t> found;
  for (const char* side : {"0", "1"}) {
    KCD_ASSIGN(const Field tree, root.Need("root.tree[" + std::string(side) + "]"));
    KCD_ASSIGN(const Field link, node.Need("node.node[" + std::string(side) + "]"));
    log_.Report(WalkTree(sources_.kernel.kernel, *symbol + tree.offset, kMaxTreeNodes,
                         "the tree of modules", [&](uint64_t at) {
                           const uint64_t address =
                               sources_.WordAt(at - link.offset + module.offset);
                           if (address != 0) found.insert(address);
                           return true;
                         }));
  }
  return found;
}

Modules ModuleChecker::Found(const char* what, Result<std::set<uint64_t>> walked) {
  if (!walked.ok()) {
    log_.Unchecked(std::string(what) + ": " + walked.error().message);
    return std::nullopt;
  }
  return std::move(walked.value());
}

void ModuleChecker::CompareWith(const char* where, const std::set<uint64_t>& there) {
  const std::string compared = std::string("the list of modules with ") + where;
  for (const uint64_t address : there) {
    log_.Examined();
    if (listed_.count(address) != 0) continue;
    const std::string name = NameOfModule(address);
    log_.Find({.kind = "hidden",
               .object = "module " + name,
               .compared = compared,
               .address = address,
               .text = "module " + (name.empty() ? "at " + HexAddress(address) : name) + " is in " +
                       where + " and not in the list of modules"});
  }
  for (const auto& [address, module] : listed_) {
    if (there.count(address) != 0 || module->state != "Live") continue;
    log_.Find(
        {.kind = "hidden",
         .object = "module " + module->name,
         .compared = compared,
         .address = address,
         .text = "module " + module->name + " is in the list of modules and not in " + where});
  }
}

void ModuleChecker::Compare() {
  log_.Examined(listed_.size());
  if (const Modules sysfs = Found("sysfs's list of modules", WalkSysfs())) {
    CompareWith("sysfs's list (module_kset)", *sysfs);
  }
  if (const Modules trees = Found("the tree of modules", WalkTrees())) {
    CompareWith("the tree by address (mod_tree)", *trees);
  }
}

/// Memory that the module loader asked for, and no module that is known has.
void ModuleChecker::CheckAreas(const VmallocAreas& areas) {
  for (const VmallocArea& area : areas.areas) {
    const std::string_view caller = area.caller;
    const bool loader = caller.starts_with("load_module+") || caller.starts_with("move_module+") ||
                        caller.starts_with("module_alloc+") ||
                        caller.starts_with("layout_and_allocate");
    if (!loader) continue;
    log_.Examined();
    bool known = false;
    for (const LoadedModule& module : sources_.modules.modules) {
      for (const Range& range : module.ranges) {
        known |= range.begin < area.end && area.start < range.end;
      }
    }
    if (known) continue;
    log_.Find({.kind = "hidden",
               .object = "vmalloc area " + HexAddress(area.start),
               .compared = "areas of vmalloc space with the list of modules",
               .address = area.start,
               .text = "the area " + HexAddress(area.start) + "-" + HexAddress(area.end) +
                       " was made by " + area.caller + ", and no module that is known lies in it"});
  }
}

/// The records of a module's functions stay when the module is taken out of every list.
void ModuleChecker::CheckRecords() {
  std::map<uint64_t, uint64_t> strangers;  // how many, by the megabyte
  std::map<uint64_t, uint64_t> first;
  const Status walked = VisitFtraceRecords(sources_.kernel, [&](uint64_t site, uint64_t) {
    if (site == 0 || sources_.code.IsKnown(site)) return true;
    ++strangers[site >> 20];
    first.emplace(site >> 20, site);
    return true;
  });
  if (!walked.ok()) log_.Unchecked("ftrace's records: " + walked.error().message);
  for (const auto& [place, count] : strangers) {
    log_.Find({.kind = "hidden",
               .object = "functions at " + HexAddress(first[place]),
               .compared = "ftrace's records with the kernel's text and the list of modules",
               .address = first[place],
               .text = "ftrace knows " + std::to_string(count) + " functions from " +
                       HexAddress(first[place]) + " on, where no module that is known lies"});
  }
}

}  // namespace

void CheckModules(const CheckSources& sources, const VmallocAreas* areas, CheckLog& log) {
  ModuleChecker checker(sources, log);
  for (const std::string& note : sources.modules.notes) log.Unchecked(note);
  checker.Compare();
  checker.CheckRecords();
  if (areas != nullptr) return checker.CheckAreas(*areas);
  log.Unchecked("areas of vmalloc space are not known");
}

}  // namespace kcoredump
