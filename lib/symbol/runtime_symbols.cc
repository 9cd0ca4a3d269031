// SPDX-License-Identifier: MIT
#include "symbol/runtime_symbols.h"

#include "base/try.h"
#include "symbol/list_walk.h"
#include "symbol/record.h"

namespace kcoredump {

namespace {

/// Of all of them, whatever they do.
constexpr char kLetter = 't';

/// One list of structures, each with the address of some code.
struct CodeList {
  const char* what;
  const char* type;  ///< of its entries
  std::string links;
  const char* address;
  const char* module;
};

class Collector {
 public:
  Collector(MemoryView& kernel, const TypeCatalog& types, SymbolTable::Builder& out,
            std::vector<std::string>& notes)
      : kernel_(kernel), types_(types), out_(out), notes_(notes) {}

  /// `name`: of all entries; empty: each has one of its own.
  Status Add(const CodeList& list, uint64_t head, std::string_view name) {
    const auto layout = Layout::Of(types_, list.type);
    if (!layout.ok()) return Note(layout.error());
    const auto next = layout.value().Need(list.links + ".next");
    const auto prev = layout.value().Need(list.links + ".prev");
    const auto address = layout.value().Need(list.address);
    const Field own_name = layout.value().Find("name");
    for (const auto* field : {&next, &prev, &address}) {
      if (!field->ok()) return Note(field->error());
    }
    Record record;
    Status added;
    ListVisitor visitor;
    visitor.load = [&](uint64_t node) -> Result<ListLinks> {
      KCD_TRY(record.Load(kernel_, node - next.value().offset, layout.value().bytes()));
      return ListLinks{record.Unsigned(next.value()), record.Unsigned(prev.value())};
    };
    visitor.keep = [&](uint64_t, bool) {
      const std::string text = name.empty() ? record.Text(own_name) : std::string(name);
      // A page that is being made has none yet.
      if (!text.empty())
        added = out_.Add(record.Unsigned(address.value()), kLetter, text, list.module);
      return added.ok();
    };
    const ListOutcome walk = WalkList(kernel_, head, kMaxRuntimeSymbols, list.what, visitor);
    if (!walk.note.empty()) notes_.push_back(walk.note);
    return added;
  }

  /// A struct kprobe_insn_cache: a list of pages that have one name.
  Status AddKprobePages(uint64_t cache) {
    const auto layout = Layout::Of(types_, "struct kprobe_insn_cache");
    if (!layout.ok()) return Note(layout.error());
    const auto pages = layout.value().Need("pages");
    const auto name = layout.value().Need("sym");  // 5.9, d002b8bc6dbc
    if (!pages.ok()) return Note(pages.error());
    if (!name.ok()) return Note(name.error());
    const auto text = kernel_.ReadValue<uint64_t>(cache + name.value().offset);
    if (!text.ok()) return Note(text.error());
    const auto symbol = kernel_.ReadString(text.value(), kMaxSymbolNameBytes);
    if (!symbol.ok()) return Note(symbol.error());
    return Add({.what = "the list of kprobes' pages",
                .type = "struct kprobe_insn_page",
                .links = "list",
                .address = "insns",
                .module = "__builtin__kprobes"},
               cache + pages.value().offset, symbol.value());
  }

 private:
  /// One list less is no error.
  Status Note(const Error& error) {
    notes_.push_back("symbols of code made at run time: " + error.message);
    return {};
  }

  MemoryView& kernel_;
  const TypeCatalog& types_;
  SymbolTable::Builder& out_;
  std::vector<std::string>& notes_;
};

}  // namespace

Status AddRuntimeSymbols(MemoryView& kernel, const TypeCatalog& types, const SymbolLookup& symbol,
                         SymbolTable::Builder& out, std::vector<std::string>& notes) {
  Collector collector(kernel, types, out, notes);
  // 5.9, fc0ea795f53c
  if (const auto head = symbol("ftrace_ops_trampoline_list")) {
    KCD_TRY(collector.Add({.what = "the list of ftrace's trampolines",
                           .type = "struct ftrace_ops",
                           .links = "list",
                           .address = "trampoline",
                           .module = "__builtin__ftrace"},
                          *head, "ftrace_trampoline"));
  }
  if (const auto head = symbol("bpf_kallsyms")) {
    KCD_TRY(collector.Add({.what = "the list of BPF programs' symbols",
                           .type = "struct bpf_ksym",
                           .links = "lnode",
                           .address = "start",
                           .module = "bpf"},
                          *head, {}));
  }
  for (const char* name : {"kprobe_insn_slots", "kprobe_optinsn_slots"}) {
    if (const auto cache = symbol(name)) KCD_TRY(collector.AddKprobePages(*cache));
  }
  return {};
}

}  // namespace kcoredump
