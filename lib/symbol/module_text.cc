// SPDX-License-Identifier: MIT
#include "symbol/module_text.h"

#include "base/error.h"
#include "base/try.h"
#include "symbol/record.h"

namespace kcoredump {

/// core_layout and init_layout up to 6.3; mem[] since 6.4 (ac3b43283923).
Result<std::vector<Range>> ModuleText(MemoryView& kernel, const TypeCatalog& types,
                                      const LoadedModule& module) {
  KCD_ASSIGN(const Layout layout, Layout::Of(types, "struct module"));
  Record record;
  KCD_TRY(record.Load(kernel, module.address, layout.bytes()));
  std::vector<Range> text;
  bool any = false;
  const auto add = [&](const std::string& part, const char* size) {
    const Field base = layout.Find(part + ".base");
    const Field bytes = layout.Find(part + "." + size);
    if (!base.known() || !bytes.known()) return;
    any = true;
    const Range claimed{record.Unsigned(base), record.Unsigned(base) + record.Unsigned(bytes)};
    for (const Range& range : module.ranges) {
      if (range.Covers(claimed)) text.push_back(claimed);
    }
  };
  for (const char* part : {"core_layout", "init_layout"}) add(part, "text_size");
  for (const char* name : {"MOD_TEXT", "MOD_INIT_TEXT"}) {
    const auto index = types.Enumerator(name);
    if (index.ok()) add("mem[" + std::to_string(index.value()) + "]", "size");
  }
  if (!any) {
    return MakeError(ErrorCode::kNotFound,
                     "this kernel's struct module has neither core_layout nor mem: where modules' "
                     "code is is not known");
  }
  return Normalized(std::move(text));
}

}  // namespace kcoredump
