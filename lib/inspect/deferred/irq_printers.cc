// SPDX-License-Identifier: MIT
#include <numeric>

#include "inspect/deferred/actors.h"
#include "inspect/json_text.h"
#include "inspect/table.h"
#include "kcoredump/irqs.h"

namespace kcoredump {

namespace {

nlohmann::ordered_json ActionJson(const IrqAction& action) {
  return {{"name", TextOrNull(action.name)},
          {"handler", JsonOf(action.handler)},
          {"thread_function", JsonOf(action.thread_function)},
          {"thread", JsonOf(action.thread)},
          {"address", HexAddress(action.address)}};
}

}  // namespace

std::string ToText(const IrqList& list, const TextStyle& style) {
  Table table({{"IRQ", true},
               {"CHIP", false},
               {"HWIRQ", true},
               {"FLOW", false},
               {"TOTAL", true},
               {"NAME", false},
               {"HANDLER", false}});
  for (const Irq& irq : list.irqs) {
    const uint64_t total = std::accumulate(irq.counts.begin(), irq.counts.end(), uint64_t{0});
    std::string names;
    std::string handlers;
    for (const IrqAction& action : irq.actions) {
      const std::string comma = &action == irq.actions.data() ? "" : ", ";
      names += comma + action.name;
      handlers += comma + TextOf(action.handler);
      if (action.thread_function.address != 0) handlers += " + " + TextOf(action.thread_function);
    }
    table.AddRow({std::to_string(irq.number), irq.chip,
                  irq.hardware ? std::to_string(*irq.hardware) : "", irq.flow,
                  irq.counts.empty() ? "" : std::to_string(total), names, handlers});
  }
  return table.Text(style);
}

std::string ToJson(const IrqList& list) {
  using nlohmann::ordered_json;
  ordered_json irqs = ordered_json::array();
  for (const Irq& irq : list.irqs) {
    ordered_json actions = ordered_json::array();
    for (const IrqAction& action : irq.actions) actions.push_back(ActionJson(action));
    irqs.push_back(
        {{"number", irq.number},
         {"chip", TextOrNull(irq.chip)},
         {"hardware", irq.hardware ? ordered_json(*irq.hardware) : ordered_json(nullptr)},
         {"flow", TextOrNull(irq.flow)},
         {"flow_handler", JsonOf(irq.flow_handler)},
         {"counts", irq.counts},
         {"actions", std::move(actions)},
         {"address", HexAddress(irq.address)}});
  }
  return JsonText({{"cpus", list.cpus},
                   {"irqs", std::move(irqs)},
                   {"notes", list.findings.notes},
                   {"incomplete", list.findings.incomplete}});
}

}  // namespace kcoredump
