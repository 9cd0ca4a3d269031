// SPDX-License-Identifier: MIT
#include "inspect/code_map.h"

#include <algorithm>

#include "base/error.h"
#include "symbol/module_text.h"

namespace kcoredump {

Result<CodeMap> CodeMap::Create(const TaskSources& sources, const ModuleList& modules,
                                std::vector<std::string>& notes) {
  const auto start = sources.symbol("_stext");
  const auto end = sources.symbol("_etext");
  if (!start || !end || *start >= *end) {
    return MakeError(ErrorCode::kNotFound,
                     "no symbols _stext and _etext: where the kernel's text is is not known");
  }
  CodeMap map;
  map.text_ = {*start, *end};
  const auto first = sources.symbol("_text");
  const auto last = sources.symbol("_end");
  map.image_ = {std::min(first.value_or(*start), *start), std::max(last.value_or(*end), *end)};
  for (const LoadedModule& module : modules.modules) {
    auto text = ModuleText(sources.kernel, sources.types, module);
    if (!text.ok()) {
      notes.push_back("module " + module.name + ": " + text.error().message);
      text = module.ranges;
    }
    for (const Range& range : text.value()) {
      map.parts_.push_back({.range = range, .text = true, .module = module.name});
    }
    for (const Range& range : Subtract(module.ranges, text.value())) {
      map.parts_.push_back({.range = range, .text = false, .module = module.name});
    }
  }
  std::sort(map.parts_.begin(), map.parts_.end(),
            [](const Part& a, const Part& b) { return a.range.begin < b.range.begin; });
  return map;
}

std::vector<Range> CodeMap::TextOf(std::string_view module) const {
  std::vector<Range> ranges;
  for (const Part& part : parts_) {
    if (part.text && part.module == module) ranges.push_back(part.range);
  }
  return ranges;
}

const CodeMap::Part* CodeMap::PartAt(uint64_t address) const {
  const auto after =
      std::upper_bound(parts_.begin(), parts_.end(), address,
                       [](uint64_t at, const Part& part) { return at < part.range.begin; });
  if (after == parts_.begin() || !std::prev(after)->range.Contains(address)) return nullptr;
  return &*std::prev(after);
}

bool CodeMap::IsCode(uint64_t address) const {
  if (text_.Contains(address)) return true;
  const Part* part = PartAt(address);
  return part != nullptr && part->text;
}

bool CodeMap::IsKnown(uint64_t address) const {
  return image_.Contains(address) || PartAt(address) != nullptr;
}

std::string CodeMap::OwnerOf(uint64_t address) const {
  if (text_.Contains(address)) return "the kernel's text";
  if (image_.Contains(address)) return "the kernel's data";
  if (const Part* part = PartAt(address)) {
    return "module " + part->module + (part->text ? "'s text" : "'s data");
  }
  return "no known code";
}

}  // namespace kcoredump
