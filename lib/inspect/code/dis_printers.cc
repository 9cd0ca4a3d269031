// SPDX-License-Identifier: MIT
//
// Machine code as text and JSON.
#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "inspect/table.h"
#include "kcoredump/dis.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

/// Longer ones push what follows; most rows align.
constexpr size_t kMnemonicColumns = 6;
constexpr size_t kCodeColumns = 34;
/// Of eight bytes; some instructions have more.
constexpr size_t kBytesColumns = 23;

std::string Padded(std::string text, size_t columns) {
  if (text.size() < columns) text.append(columns - text.size(), ' ');
  return text;
}

std::string Digits(std::byte byte) {
  std::array<char, 4> digits{};
  std::snprintf(digits.data(), digits.size(), "%02x", std::to_integer<unsigned>(byte));
  return digits.data();
}

/// As the machine's manuals write it: byte by byte, or one word of aarch64.
std::string BytesText(const DisassembleAnswer& answer, const Instruction& instruction) {
  std::string text;
  for (const std::byte byte : instruction.bytes) {
    if (answer.machine == "aarch64") {
      text.insert(0, Digits(byte));
    } else {
      text += (text.empty() ? "" : " ") + Digits(byte);
    }
  }
  return text;
}

/// Names of the same module as the code need not say so.
std::string ShortName(std::string symbol, const Instruction& instruction) {
  const std::string module = " [" + instruction.module + "]";
  if (!instruction.module.empty() && symbol.ends_with(module)) {
    symbol.resize(symbol.size() - module.size());
  }
  return Escaped(symbol);
}

/// "static key KEY off, else jump to PLACE"
std::string SiteText(const Instruction& instruction) {
  const PatchSite& site = *instruction.site;
  const auto name = [&](const std::string& symbol, uint64_t address) {
    return symbol.empty() ? HexAddress(address) : ShortName(symbol, instruction);
  };
  if (site.kind == PatchSite::Kind::kFtrace) return site.patched_in ? "ftrace: on" : "ftrace: off";
  if (site.kind == PatchSite::Kind::kLandingPad) return "sealed endbr64";
  std::string text = "static key " + name(site.key_symbol, site.key);
  if (site.enabled) text += *site.enabled ? " on" : " off";
  if (site.patched_in) return text + ", else nop";
  return text + ", else jump to " + name(site.jump_target_symbol, site.jump_target);
}

std::string Comment(const Instruction& instruction) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  for (const CodeReference& reference : instruction.references) {
    const std::string digits = Hex(reference.address);
    // An address without a name that stands in the code already says nothing.
    if (reference.symbol.empty() && instruction.operands.find(digits) != std::string::npos)
      continue;
    const std::string name =
        reference.symbol.empty() ? digits : ShortName(reference.symbol, instruction);
    add((reference.per_cpu ? "per-CPU " : "") + name);
  }
  if (instruction.site) add(SiteText(instruction));
  return text;
}

std::string CodeText(const Instruction& instruction) {
  std::string operands = instruction.operands;
  if (instruction.target && !instruction.target_symbol.empty()) {
    operands.replace(instruction.target_at, std::string::npos,
                     ShortName(instruction.target_symbol, instruction));
  }
  if (operands.empty()) return instruction.mnemonic;
  return Padded(instruction.mnemonic, kMnemonicColumns) + " " + operands;
}

/// The offset into the symbol, or the address where there is none.
std::string PlaceText(const Instruction& instruction) {
  if (instruction.symbol.empty()) return HexAddress(instruction.address).substr(2);
  return "+" + Hex(instruction.address - instruction.symbol_start);
}

/// `columns` is where comments begin, unless that leaves too little of the terminal's width.
std::string Line(std::string line, size_t columns, const std::string& comment,
                 const TextStyle& style) {
  if (comment.empty()) return CutToWidth(line, style.columns) + "\n";
  const std::string tail = "  # " + comment;
  const bool fits = style.columns == 0 || columns + tail.size() <= style.columns;
  if (fits) line = Padded(std::move(line), columns);
  const std::string whole = CutToWidth(line + tail, style.columns);
  if (!style.colour || whole.size() <= line.size()) return whole + "\n";
  return whole.substr(0, line.size()) + "\x1b[36m" + whole.substr(line.size()) + "\x1b[0m\n";
}

std::string SymbolLine(const Instruction& instruction, const TextStyle& style) {
  const uint64_t offset = instruction.address - instruction.symbol_start;
  std::string line = HexAddress(instruction.address).substr(2) + " <" + Escaped(instruction.symbol);
  if (offset != 0) line += "+" + Hex(offset);
  if (!instruction.module.empty()) line += " [" + Escaped(instruction.module) + "]";
  line = CutToWidth(line + ">:", style.columns);
  return style.colour ? "\x1b[1m" + line + "\x1b[0m\n" : line + "\n";
}

/// Of a symbol or a module.
ordered_json SymbolJson(const std::string& symbol) {
  return symbol.empty() ? ordered_json() : ordered_json(Escaped(symbol));
}

const char* KindName(PatchSite::Kind kind) {
  switch (kind) {
    case PatchSite::Kind::kFtrace:
      return "ftrace";
    case PatchSite::Kind::kStaticKey:
      return "static-key";
    case PatchSite::Kind::kLandingPad:
      return "landing-pad";
  }
  return "unknown";
}

ordered_json SiteJson(const PatchSite& site) {
  const bool key = site.kind == PatchSite::Kind::kStaticKey;
  ordered_json json;
  json["kind"] = KindName(site.kind);
  json["patched_in"] = site.patched_in;
  json["key"] = key ? ordered_json(HexAddress(site.key)) : ordered_json();
  json["key_symbol"] = SymbolJson(site.key_symbol);
  json["enabled"] = site.enabled ? ordered_json(*site.enabled) : ordered_json();
  json["jump_target"] = key ? ordered_json(HexAddress(site.jump_target)) : ordered_json();
  json["jump_target_symbol"] = SymbolJson(site.jump_target_symbol);
  return json;
}

ordered_json InstructionJson(const Instruction& instruction) {
  ordered_json json;
  json["address"] = HexAddress(instruction.address);
  const uint64_t offset = instruction.address - instruction.symbol_start;
  json["symbol"] = SymbolJson(instruction.symbol);
  json["offset"] = instruction.symbol.empty() ? ordered_json() : ordered_json(offset);
  json["module"] = SymbolJson(instruction.module);
  std::string hex;
  for (const std::byte byte : instruction.bytes) hex += Digits(byte);
  json["bytes"] = hex;
  json["mnemonic"] = instruction.mnemonic;
  json["operands"] = instruction.operands;
  json["target"] =
      instruction.target ? ordered_json(HexAddress(*instruction.target)) : ordered_json();
  json["target_symbol"] = SymbolJson(instruction.target_symbol);
  json["references"] = ordered_json::array();
  for (const CodeReference& reference : instruction.references) {
    json["references"].push_back({{"address", HexAddress(reference.address)},
                                  {"symbol", SymbolJson(reference.symbol)},
                                  {"per_cpu", reference.per_cpu}});
  }
  json["site"] = instruction.site ? SiteJson(*instruction.site) : ordered_json();
  return json;
}

}  // namespace

std::string ToText(const DisassembleAnswer& answer, const DisassembleTextOptions& options) {
  size_t columns = 0;
  for (const Instruction& instruction : answer.instructions) {
    columns = std::max(columns, PlaceText(instruction).size());
  }
  const size_t bytes_columns = answer.machine == "aarch64" ? 8 : kBytesColumns;
  std::string text;
  const Instruction* last = nullptr;
  for (const Instruction& instruction : answer.instructions) {
    const bool same = last != nullptr && last->symbol == instruction.symbol &&
                      last->module == instruction.module &&
                      last->symbol_start == instruction.symbol_start;
    if (!same && last != nullptr) text += "\n";
    if (!same && !instruction.symbol.empty()) text += SymbolLine(instruction, options.style);
    last = &instruction;
    const std::string place = PlaceText(instruction);
    std::string line(columns - place.size() + 2, ' ');
    line += place + "  ";
    if (options.bytes) line += Padded(BytesText(answer, instruction), bytes_columns) + "  ";
    const size_t comments_at = line.size() + kCodeColumns;
    text += Line(line + CodeText(instruction), comments_at, Comment(instruction), options.style);
  }
  if (answer.padding_bytes != 0) {
    text += "  (" + Grouped(answer.padding_bytes) + " bytes of padding follow)\n";
  }
  return text;
}

std::string ToJson(const DisassembleAnswer& answer) {
  const Target::Space space = answer.start.space;
  const bool process = space == Target::Space::kProcess;
  ordered_json json;
  json["address"] = HexAddress(answer.start.address);
  json["space"] = space == Target::Space::kPhysical ? "physical" : process ? "process" : "kernel";
  json["pid"] = process ? ordered_json(answer.start.pid) : ordered_json();
  json["machine"] = answer.machine;
  json["instructions"] = ordered_json::array();
  for (const Instruction& instruction : answer.instructions) {
    json["instructions"].push_back(InstructionJson(instruction));
  }
  json["padding_bytes"] = answer.padding_bytes;
  json["notes"] = answer.findings.notes;
  if (!answer.failure.empty()) json["notes"].push_back(answer.failure);
  json["incomplete"] = answer.findings.incomplete || !answer.failure.empty();
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace kcoredump
