// SPDX-License-Identifier: MIT
#include <nlohmann/json.hpp>

#include "inspect/json_text.h"
#include "inspect/table.h"
#include "kcoredump/check.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

ordered_json FindingJson(const CheckFinding& finding) {
  return {{"check", finding.check},
          {"kind", finding.kind},
          {"object", finding.object},
          {"compared", finding.compared},
          {"address", AddressOrNull(finding.address)},
          {"symbol", TextOrNull(finding.symbol)},
          {"value", AddressOrNull(finding.value)},
          {"value_symbol", TextOrNull(finding.value_symbol)},
          {"text", finding.text}};
}

ordered_json SummaryJson(const CheckSummary& check) {
  return {{"name", check.name},
          {"compared", check.compared},
          {"examined", check.examined},
          {"findings", check.findings},
          {"unchecked", check.unchecked}};
}

ordered_json ChangeJson(const KernelChange& change) {
  return {{"what", change.what},
          {"change", change.change},
          {"object", change.object},
          {"address", AddressOrNull(change.address)},
          {"symbol", TextOrNull(change.symbol)},
          {"detail", TextOrNull(change.detail)}};
}

}  // namespace

std::string ToText(const CheckReport& report, const TextStyle& style) {
  std::string text;
  for (const CheckFinding& finding : report.findings) {
    text += Escaped(finding.check + ": " + finding.kind + ": " + finding.text) + "\n";
  }
  if (!text.empty()) text += "\n";
  Table table({{"CHECK", false},
               {"EXAMINED", true},
               {"FINDINGS", true},
               {"COMPARED, AND WHAT COULD NOT BE", false}});
  for (const CheckSummary& check : report.checks) {
    table.AddRow({check.name, Grouped(check.examined), Grouped(check.findings), check.compared});
    for (const std::string& why : check.unchecked) table.AddRow({"", "", "", "  not: " + why});
  }
  return text + table.Text(style);
}

std::string ToJson(const CheckReport& report) {
  ordered_json findings = ordered_json::array();
  for (const CheckFinding& finding : report.findings) findings.push_back(FindingJson(finding));
  ordered_json checks = ordered_json::array();
  for (const CheckSummary& check : report.checks) checks.push_back(SummaryJson(check));
  return JsonText({{"findings", std::move(findings)},
                   {"checks", std::move(checks)},
                   {"notes", report.notes.notes},
                   {"incomplete", report.notes.incomplete}});
}

std::string ToText(const KernelDiff& diff, const TextStyle& style) {
  if (diff.changes.empty()) return {};
  Table table({{"WHAT", false},
               {"CHANGE", false},
               {"ADDRESS", false},
               {"OBJECT", false},
               {"DETAIL", false}});
  for (const KernelChange& change : diff.changes) {
    table.AddRow({change.what, change.change,
                  change.address == 0 ? "-" : HexAddress(change.address), change.object,
                  change.detail});
  }
  return table.Text(style);
}

std::string ToJson(const KernelDiff& diff) {
  ordered_json changes = ordered_json::array();
  for (const KernelChange& change : diff.changes) changes.push_back(ChangeJson(change));
  return JsonText({{"old", diff.old_path},
                   {"new", diff.new_path},
                   {"changes", std::move(changes)},
                   {"notes", diff.findings.notes},
                   {"incomplete", diff.findings.incomplete}});
}

}  // namespace kcoredump
