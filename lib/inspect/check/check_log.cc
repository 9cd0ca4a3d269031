// SPDX-License-Identifier: MIT
#include "inspect/check/check_log.h"

#include <algorithm>

#include "kcoredump/text.h"

namespace kcoredump {

std::string CheckSources::NameOf(uint64_t address) const {
  const auto symbol = symbols.Containing(address);
  if (!symbol) return {};
  std::string text(symbol->name);
  if (address != symbol->address) text += "+" + Hex(address - symbol->address);
  if (!symbol->module.empty()) text += " [" + std::string(symbol->module) + "]";
  return text;
}

std::string CheckSources::Describe(uint64_t address) const {
  const std::string name = NameOf(address);
  return HexAddress(address) + (name.empty() ? "" : " <" + name + ">") + " (" +
         code.OwnerOf(address) + ")";
}

uint64_t CheckSources::WordAt(uint64_t address) const {
  const auto word = kernel.kernel.ReadValue<uint64_t>(address);
  return word.ok() ? word.value() : 0;
}

CheckLog::CheckLog(const CheckSources& sources, std::string name, std::string compared)
    : sources_(sources) {
  summary_.name = std::move(name);
  summary_.compared = std::move(compared);
}

void CheckLog::Find(CheckFinding finding) {
  if (++summary_.findings > kMaxFindingsOfCheck) return;
  finding.check = summary_.name;
  if (finding.compared.empty()) finding.compared = summary_.compared;
  if (finding.address != 0) finding.symbol = sources_.NameOf(finding.address);
  if (finding.value != 0) finding.value_symbol = sources_.NameOf(finding.value);
  findings_.push_back(std::move(finding));
}

void CheckLog::Unchecked(std::string why) {
  auto& known = summary_.unchecked;
  if (known.size() > kMaxUncheckedOfCheck) return;
  if (known.size() == kMaxUncheckedOfCheck) why = "… and more of the kind";
  if (std::find(known.begin(), known.end(), why) == known.end()) known.push_back(std::move(why));
}

void CheckLog::Report(const ListOutcome& walk) {
  if (!walk.note.empty()) Unchecked(walk.note);
  lost_ |= walk.lost;
}

void CheckLog::VisitList(uint64_t head, uint64_t link_offset, size_t max, const std::string& what,
                         const std::function<void(uint64_t object)>& visit, bool stands_still) {
  MemoryView& memory = sources_.kernel.kernel;
  ListVisitor visitor;
  visitor.load = [&](uint64_t node) { return memory.ReadValue<ListLinks>(node); };
  visitor.keep = [&](uint64_t node, bool) {
    visit(node - link_offset);
    return true;
  };
  const ListOutcome walk = WalkList(memory, head, max, what, visitor);
  if (stands_still) Report(walk);
}

}  // namespace kcoredump
