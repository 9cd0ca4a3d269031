// SPDX-License-Identifier: MIT
//
// Modules and vmalloc areas, asked of a session and shown as text or JSON.
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/error.h"
#include "base/try.h"
#include "inspect/session.h"
#include "inspect/table.h"
#include "kcoredump/modules.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

std::string Joined(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

std::string OrDash(const std::string& text) { return text.empty() ? "-" : text; }

ordered_json OrNull(const std::string& text) {
  return text.empty() ? ordered_json(nullptr) : ordered_json(text);
}

ordered_json HexOrNull(const std::optional<uint64_t>& address) {
  return address ? ordered_json(HexAddress(*address)) : ordered_json(nullptr);
}

std::string Dump(const char* name, ordered_json list, const Findings& findings) {
  const ordered_json object = {
      {name, std::move(list)}, {"notes", findings.notes}, {"incomplete", findings.incomplete}};
  return object.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json ModuleJson(const ModuleInfo& module) {
  ordered_json ranges = ordered_json::array();
  for (const AddressRange& range : module.ranges) {
    ranges.push_back({{"start", HexAddress(range.start)}, {"end", HexAddress(range.end)}});
  }
  return {{"name", module.name},
          {"address", HexAddress(module.address)},
          {"base", HexAddress(module.base)},
          {"size_bytes", module.size_bytes},
          {"state", OrNull(module.state)},
          {"taints", module.taints},
          {"references", module.references ? ordered_json(*module.references) : nullptr},
          {"users", module.users},
          {"permanent", module.permanent},
          {"ranges", std::move(ranges)}};
}

ordered_json AreaJson(const VmallocInfo& area) {
  return {{"start", HexAddress(area.start)},
          {"end", HexAddress(area.end)},
          {"size_bytes", area.end - area.start},
          {"pages", area.pages},
          {"kinds", area.kinds},
          {"caller", OrNull(area.caller)},
          {"caller_address", HexOrNull(area.caller_address)},
          {"physical", HexOrNull(area.physical)}};
}

ModuleInfo Shown(const LoadedModule& module) {
  ModuleInfo shown{.name = module.name,
                   .address = module.address,
                   .base = module.base,
                   .size_bytes = module.size_bytes,
                   .state = module.state,
                   .taints = module.taints,
                   .references = {},
                   .users = module.users,
                   .permanent = module.permanent,
                   .ranges = {}};
  if (module.references >= 0) shown.references = module.references;
  for (const Range& range : module.ranges) shown.ranges.push_back({range.begin, range.end});
  return shown;
}

VmallocInfo Shown(Session& session, const VmallocArea& area) {
  VmallocInfo shown{.start = area.start,
                    .end = area.end,
                    .pages = area.pages,
                    .kinds = area.kinds,
                    .caller = area.caller,
                    .caller_address = {},
                    .physical = area.phys};
  if (area.caller_address != 0) shown.caller_address = area.caller_address;
  if (shown.caller.empty() && shown.caller_address) {
    shown.caller = session.Symbolize(*shown.caller_address);
    if (shown.caller.empty()) shown.caller = HexAddress(*shown.caller_address);
  }
  return shown;
}

Result<VmallocAreas> WalkFromMemory(Session& session) {
  KCD_ASSIGN(const TypeCatalog* types, session.Types());
  return WalkVmallocAreas(session.kernel(), *types,
                          [&](std::string_view name) -> std::optional<uint64_t> {
                            const auto address = session.SymbolAddress(name);
                            return address.ok() ? std::optional(address.value()) : std::nullopt;
                          });
}

Result<VmallocInfos> Choose(Session& session, const VmallocAreas& all,
                            const std::vector<uint64_t>& addresses) {
  VmallocInfos found;
  found.findings = {.notes = all.notes, .incomplete = all.incomplete};
  if (addresses.empty()) {
    for (const VmallocArea& area : all.areas) found.areas.push_back(Shown(session, area));
    return found;
  }
  std::unordered_set<const VmallocArea*> chosen;
  for (const uint64_t address : addresses) {
    const VmallocArea* area = all.Containing(address);
    if (area == nullptr) {
      found.findings.Add("no area contains " + HexAddress(address));
    } else if (chosen.insert(area).second) {
      found.areas.push_back(Shown(session, *area));
    }
  }
  if (found.areas.empty()) {
    return MakeError(ErrorCode::kNotFound, "no area contains " + HexAddress(addresses.front()));
  }
  return found;
}

}  // namespace

Result<ModuleInfos> ListModules(Kernel& kernel) {
  KCD_ASSIGN(const ModuleList* list, kernel.session().Modules());
  ModuleInfos found;
  found.findings = {.notes = list->notes, .incomplete = list->incomplete};
  for (const LoadedModule& module : list->modules) found.modules.push_back(Shown(module));
  return found;
}

std::string ToText(const ModuleInfos& found, const TextStyle& style) {
  Table table({{"NAME", false},
               {"BASE", false},
               {"SIZE", true},
               {"STATE", false},
               {"TAINTS", false},
               {"REFS", true},
               {"USERS", false}});
  for (const ModuleInfo& module : found.modules) {
    std::vector<std::string> users = module.users;
    if (module.permanent) users.emplace_back("[permanent]");
    table.AddRow({module.name, HexAddress(module.base), HumanBytes(module.size_bytes),
                  OrDash(module.state), OrDash(module.taints),
                  module.references ? std::to_string(*module.references) : "-",
                  OrDash(Joined(users, ","))});
  }
  return table.Text(style);
}

std::string ToJson(const ModuleInfos& found) {
  ordered_json modules = ordered_json::array();
  for (const ModuleInfo& module : found.modules) modules.push_back(ModuleJson(module));
  return Dump("modules", std::move(modules), found.findings);
}

Result<VmallocInfos> ListVmallocAreas(Kernel& kernel, const VmallocOptions& options) {
  Session& session = kernel.session();
  if (options.from_memory) {
    KCD_ASSIGN(const VmallocAreas walked, WalkFromMemory(session));
    return Choose(session, walked, options.addresses);
  }
  KCD_ASSIGN(const VmallocAreas* areas, session.Vmalloc());
  return Choose(session, *areas, options.addresses);
}

std::string ToText(const VmallocInfos& found, const TextStyle& style) {
  Table table({{"START", false},
               {"END", false},
               {"SIZE", true},
               {"PAGES", true},
               {"KINDS", false},
               {"CALLER", false}});
  for (const VmallocInfo& area : found.areas) {
    std::string caller = OrDash(area.caller);
    if (area.physical) caller += "  phys=" + Hex(*area.physical);
    table.AddRow({HexAddress(area.start), HexAddress(area.end), HumanBytes(area.end - area.start),
                  area.pages != 0 ? std::to_string(area.pages) : "-",
                  OrDash(Joined(area.kinds, " ")), caller});
  }
  return table.Text(style);
}

std::string ToJson(const VmallocInfos& found) {
  ordered_json areas = ordered_json::array();
  for (const VmallocInfo& area : found.areas) areas.push_back(AreaJson(area));
  return Dump("areas", std::move(areas), found.findings);
}

}  // namespace kcoredump
