// SPDX-License-Identifier: MIT
#include <algorithm>

#include "inspect/json_text.h"
#include "inspect/table.h"
#include "inspect/value/value_text.h"
#include "kcoredump/list.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

ordered_json EntryJson(const ListAnswer& answer, const ListEntry& entry) {
  ordered_json row = {{"address", HexAddress(entry.address)}};
  if (entry.index) row["index"] = *entry.index;
  if (entry.last) row["last"] = *entry.last;
  ordered_json values = ordered_json::object();
  for (size_t i = 0; i < answer.show.size() && i < entry.values.size(); ++i) {
    const auto& value = entry.values[i];
    values[answer.show[i]] = value ? ValueJson(*value) : ordered_json(nullptr);
  }
  row["values"] = std::move(values);
  return row;
}

}  // namespace

std::string ToText(const ListAnswer& answer, const TextStyle& style) {
  const bool indexed = std::any_of(answer.entries.begin(), answer.entries.end(),
                                   [](const ListEntry& entry) { return entry.index.has_value(); });
  std::vector<Table::Column> columns = {{"ADDRESS", false}};
  if (indexed) columns.push_back({"INDEX", true});
  for (const std::string& path : answer.show) columns.push_back({path, false});
  Table table(std::move(columns));
  for (const ListEntry& entry : answer.entries) {
    std::vector<std::string> cells = {HexAddress(entry.address)};
    if (indexed) {
      cells.push_back(Hex(entry.index.value_or(0)));
      if (entry.last) cells.back() += "-" + Hex(*entry.last);
    }
    for (const auto& value : entry.values) cells.push_back(value ? OneLineText(*value) : "?");
    table.AddRow(std::move(cells));
  }
  return table.Text(style);
}

std::string ToJson(const ListAnswer& answer) {
  ordered_json entries = ordered_json::array();
  for (const ListEntry& entry : answer.entries) entries.push_back(EntryJson(answer, entry));
  return JsonText({{"type", answer.type},
                   {"member", TextOrNull(answer.member)},
                   {"kind", answer.kind},
                   {"head", HexAddress(answer.head)},
                   {"entries", std::move(entries)},
                   {"notes", answer.findings.notes},
                   {"incomplete", answer.findings.incomplete}});
}

}  // namespace kcoredump
