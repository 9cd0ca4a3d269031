// SPDX-License-Identifier: MIT
//
// Interrupts of devices: who handles them, and how often they came.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kcoredump/actors.h"
#include "kcoredump/kernel.h"

namespace kcoredump {

/// More are not listed, and a note says so.
inline constexpr size_t kMaxIrqs = 1 << 20;
inline constexpr size_t kMaxIrqActions = 4096;

/// A struct irqaction: a handler that a driver asked for.
struct IrqAction {
  std::string name{};
  FunctionName handler{};
  FunctionName thread_function{};  ///< of a threaded handler
  TaskName thread{};               ///< that runs it
  uint64_t address = 0;
};

/// A struct irq_desc, as a line of /proc/interrupts has it. Strings may hold anything: escape them
/// for a terminal (ToText does).
struct Irq {
  uint32_t number = 0;
  std::string chip{};                  ///< empty: none, or not known
  std::optional<uint64_t> hardware{};  ///< the chip's own number; nothing: it has no domain
  std::string flow{};                  ///< "edge", "fasteoi"; empty: none
  FunctionName flow_handler{};
  std::vector<uint64_t> counts{};  ///< of IrqList::cpus
  std::vector<IrqAction> actions{};
  uint64_t address = 0;  ///< of its struct irq_desc
};

struct IrqList {
  std::vector<uint32_t> cpus{};  ///< that are online
  std::vector<Irq> irqs{};       ///< by number: those with a handler or a count
  Findings findings;
};

/// Without debuginfo. The rows of /proc/interrupts that have letters for numbers (NMI, LOC) are no
/// descriptors and not listed. kNotFound: no tree of descriptors, or a member that this kernel
/// lacks.
[[nodiscard]] Result<IrqList> ListIrqs(Kernel& kernel);

/// IRQ, CHIP, HWIRQ, FLOW, TOTAL, NAME, HANDLER.
[[nodiscard]] std::string ToText(const IrqList& list, const TextStyle& style);
[[nodiscard]] std::string ToJson(const IrqList& list);

}  // namespace kcoredump
