// SPDX-License-Identifier: MIT
//
// Loaded modules, and vmalloc space by areas.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"

namespace kcoredump {

/// [start, end) of the kernel's virtual addresses.
struct AddressRange {
  uint64_t start = 0;
  uint64_t end = 0;
};

/// A loaded module (kernel: include/linux/module.h, struct module). Strings may hold anything:
/// escape them for a terminal (ToText does).
struct ModuleInfo {
  std::string name;
  uint64_t address = 0;     ///< of its struct module
  uint64_t base = 0;        ///< where its text begins, as /proc/modules says it
  uint64_t size_bytes = 0;  ///< of all its memory, as /proc/modules says it
  std::string state;        ///< "Live", "Loading", "Unloading", "Unformed"; empty: not known
  std::string taints;       ///< letters as in /proc/modules ("OE"); empty: none
  std::optional<int64_t> references;
  std::vector<std::string> users;    ///< modules that use this one
  bool permanent = false;            ///< it has no exit: it cannot be unloaded
  std::vector<AddressRange> ranges;  ///< all memory that is the module's, by address
};

struct ModuleInfos {
  std::vector<ModuleInfo> modules;  ///< the newest first, as /proc/modules
  Findings findings;
};

/// Walks the kernel's list of modules. kNotFound: no symbol `modules`, or no BTF of struct module.
[[nodiscard]] Result<ModuleInfos> ListModules(Kernel& kernel);

/// NAME, BASE, SIZE, STATE, TAINTS, REFS, USERS.
[[nodiscard]] std::string ToText(const ModuleInfos& found, const TextStyle& style);
[[nodiscard]] std::string ToJson(const ModuleInfos& found);

/// An area of vmalloc space, as /proc/vmallocinfo has it (kernel: mm/vmalloc.c).
struct VmallocInfo {
  uint64_t start = 0;
  uint64_t end = 0;    ///< exclusive, with the guard page
  uint64_t pages = 0;  ///< 0: none of its own (ioremap, vmap), or not known
  /// "ioremap", "sparse", "vmalloc", "vmap", "user", "dma-coherent", "vpages"; "vm_map_ram" and
  /// "unpurged" (freed, but not yet unmapped) stand alone.
  std::vector<std::string> kinds;
  std::string caller;  ///< who asked for it, "symbol+offset…"; empty: not known
  std::optional<uint64_t> caller_address;  ///< the text of /proc/vmallocinfo does not tell
  std::optional<uint64_t> physical;        ///< of ioremap: where it leads
};

struct VmallocOptions {
  /// The kernel's own lists, even where there is a text of /proc/vmallocinfo.
  bool from_memory = false;
  /// Only the areas that contain one of these. Empty: all.
  std::vector<uint64_t> addresses;
};

struct VmallocInfos {
  std::vector<VmallocInfo> areas;  ///< by start
  Findings findings;               ///< with a note for each of `addresses` that no area contains
};

/// From /proc/vmallocinfo or a snapshot's copy of it where its addresses are real, else from the
/// kernel's lists. kNotFound: neither is there; or none of `addresses` is in any area.
[[nodiscard]] Result<VmallocInfos> ListVmallocAreas(Kernel& kernel, const VmallocOptions& options);

/// START, END, SIZE, PAGES, KINDS, CALLER, with the physical address of ioremap areas.
[[nodiscard]] std::string ToText(const VmallocInfos& found, const TextStyle& style);
[[nodiscard]] std::string ToJson(const VmallocInfos& found);

}  // namespace kcoredump
