// SPDX-License-Identifier: MIT
#include "symbol/modules.h"

#include <algorithm>
#include <array>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"
#include "symbol/list_walk.h"
#include "symbol/record.h"

namespace kcoredump {

namespace {

/// kernel: include/linux/module.h, enum module_state.
constexpr std::array kStates = {"Live", "Loading", "Unloading", "Unformed"};

/// What a module's reference count begins at (kernel: kernel/module/main.c, MODULE_REF_BASE).
constexpr int64_t kReferenceBase = 1;

/// More would not be memory of any module.
constexpr uint64_t kMaxModuleBytes = uint64_t{1} << 32;

/// Letters by bit (kernel: kernel/panic.c, taint_flags; those with `module` set).
struct Taint {
  unsigned bit;
  char letter;
};
constexpr std::array kTaints = {Taint{0, 'P'},  Taint{1, 'F'},  Taint{10, 'C'}, Taint{12, 'O'},
                                Taint{13, 'E'}, Taint{15, 'K'}, Taint{16, 'X'}, Taint{18, 'N'}};

std::string TaintLetters(uint64_t taints) {
  std::string letters;
  for (const Taint& taint : kTaints) {
    if ((taints >> taint.bit & 1) != 0) letters += taint.letter;
  }
  return letters;
}

/// Where a base and a size stand of one part of a module's memory.
struct Part {
  Field base;
  Field size;
};

/// Members of struct module and struct module_use (kernel: include/linux/module.h).
class ModuleReader {
 public:
  [[nodiscard]] static Result<ModuleReader> Create(MemoryView& kernel, const TypeCatalog& types,
                                                   std::vector<std::string>& notes);
  [[nodiscard]] ListOutcome Walk(uint64_t list_head, ModuleList& out);

 private:
  ModuleReader(MemoryView& kernel, Layout layout) : kernel_(kernel), layout_(std::move(layout)) {}
  void FindParts(const TypeCatalog& types, std::vector<std::string>& notes);
  void FindUses(const TypeCatalog& types, std::vector<std::string>& notes);
  [[nodiscard]] LoadedModule Describe(const Record& record, ModuleList& out);
  void AddMemory(const Record& record, LoadedModule& module, ModuleList& out) const;
  void AddUsers(const Record& record, LoadedModule& module, ModuleList& out);

  MemoryView& kernel_;
  Layout layout_;
  Field next_;
  Field prev_;
  Field name_;
  Field state_;
  Field taints_;
  Field references_;
  Field init_;
  Field exit_;
  Field users_;              ///< source_list
  std::vector<Part> parts_;  ///< the one that /proc/modules shows the address of comes first
  uint64_t use_bytes_ = 0;   ///< of struct module_use; 0: users cannot be told
  Field use_next_;
  Field use_prev_;
  Field use_source_;
};

Result<ModuleReader> ModuleReader::Create(MemoryView& kernel, const TypeCatalog& types,
                                          std::vector<std::string>& notes) {
  KCD_ASSIGN(Layout layout, Layout::Of(types, "struct module"));
  ModuleReader reader(kernel, std::move(layout));
  const Layout& module = reader.layout_;
  KCD_ASSIGN(reader.next_, module.Need("list.next"));
  KCD_ASSIGN(reader.prev_, module.Need("list.prev"));
  KCD_ASSIGN(reader.name_, module.Need("name"));
  reader.state_ = module.Find("state", "states of modules are not known", notes);
  reader.taints_ = module.Find("taints", "taints of modules are not known", notes);
  reader.references_ = module.Find("refcnt.counter", "references to modules are not known", notes);
  reader.init_ = module.Find("init");
  reader.exit_ = module.Find("exit");
  reader.FindParts(types, notes);
  reader.FindUses(types, notes);
  return reader;
}

/// core_layout, init_layout and (some architectures, 6.1) data_layout up to 6.3; mem[] since 6.4
/// (ac3b43283923), of which MOD_TEXT is where the module "is".
void ModuleReader::FindParts(const TypeCatalog& types, std::vector<std::string>& notes) {
  for (const char* name : {"core_layout", "init_layout", "data_layout"}) {
    const Part part{layout_.Find(std::string(name) + ".base"),
                    layout_.Find(std::string(name) + ".size")};
    if (part.base.known() && part.size.known()) parts_.push_back(part);
  }
  const auto member = types.Member("struct module", "mem");
  const uint64_t count = member.ok() ? types.Count(member.value().type) : 0;
  const auto text = types.Enumerator("MOD_TEXT");
  for (uint64_t i = 0; i < std::min<uint64_t>(count, 64); ++i) {
    const std::string element = "mem[" + std::to_string(i) + "]";
    const Part part{layout_.Find(element + ".base"), layout_.Find(element + ".size")};
    if (!part.base.known() || !part.size.known()) break;
    const bool first = text.ok() && text.value() == static_cast<int64_t>(i);
    parts_.insert(first ? parts_.begin() : parts_.end(), part);
  }
  if (parts_.empty()) {
    notes.emplace_back(
        "this kernel's struct module has neither core_layout nor mem: where modules are is not "
        "known");
  }
}

void ModuleReader::FindUses(const TypeCatalog& types, std::vector<std::string>& notes) {
  users_ = layout_.Find("source_list", "users of modules are not known", notes);
  if (!users_.known()) return;
  const auto use = Layout::Of(types, "struct module_use");
  if (!use.ok()) {
    notes.push_back(use.error().message + ": users of modules are not known");
    return;
  }
  use_next_ = use.value().Find("source_list.next");
  use_prev_ = use.value().Find("source_list.prev");
  use_source_ = use.value().Find("source", "users of modules are not known", notes);
  if (use_next_.known() && use_prev_.known() && use_source_.known()) {
    use_bytes_ = use.value().bytes();
  }
}

void ModuleReader::AddMemory(const Record& record, LoadedModule& module, ModuleList& out) const {
  if (!parts_.empty()) module.base = record.Unsigned(parts_.front().base);
  for (const Part& part : parts_) {
    const uint64_t base = record.Unsigned(part.base);
    const uint64_t bytes = record.Unsigned(part.size);
    if (bytes == 0) continue;
    const auto end = CheckedAdd(base, bytes);
    if (!end || base == 0 || bytes > kMaxModuleBytes) {
      out.notes.push_back("module " + module.name + " claims memory that cannot be: " + Hex(bytes) +
                          " bytes at " + HexAddress(base));
      continue;
    }
    module.size_bytes += bytes;
    module.ranges.push_back({base, *end});
  }
  module.ranges = Normalized(std::move(module.ranges));
}

void ModuleReader::AddUsers(const Record& record, LoadedModule& module, ModuleList& out) {
  if (use_bytes_ == 0) return;
  Record use;
  ListVisitor visitor;
  visitor.load = [&](uint64_t node) -> Result<ListLinks> {
    KCD_TRY(use.Load(kernel_, node - use_next_.offset, use_bytes_));
    return ListLinks{use.Unsigned(use_next_), use.Unsigned(use_prev_)};
  };
  visitor.keep = [&](uint64_t, bool) {
    const uint64_t source = use.Unsigned(use_source_);
    Record name;
    if (name.Load(kernel_, source + name_.offset, name_.bytes).ok()) {
      module.users.push_back(name.Text({.offset = 0, .bytes = name_.bytes}));
    } else {
      out.notes.push_back("a user of module " + module.name + ", at " + HexAddress(source) +
                          ", cannot be read");
      out.incomplete = true;
    }
    return true;
  };
  const ListOutcome walk = WalkList(kernel_, record.address() + users_.offset, kMaxModules,
                                    "the list of users of module " + module.name, visitor);
  if (!walk.note.empty()) out.notes.push_back(walk.note);
  out.incomplete |= walk.lost;
}

LoadedModule ModuleReader::Describe(const Record& record, ModuleList& out) {
  LoadedModule module;
  module.address = record.address();
  module.name = record.Text(name_);
  if (module.name.size() == name_.bytes) {
    out.notes.push_back("the name of the module at " + HexAddress(module.address) + " has no end");
  }
  const uint64_t state = record.Unsigned(state_);
  module.state = !state_.known()          ? ""
                 : state < kStates.size() ? kStates[state]
                                          : "state " + std::to_string(state);
  module.taints = TaintLetters(record.Unsigned(taints_));
  if (references_.known()) {
    module.references = static_cast<int32_t>(record.Unsigned(references_)) - kReferenceBase;
  } else {
    module.references = -1;
  }
  module.permanent =
      init_.known() && exit_.known() && record.Unsigned(init_) != 0 && record.Unsigned(exit_) == 0;
  AddMemory(record, module, out);
  AddUsers(record, module, out);
  return module;
}

ListOutcome ModuleReader::Walk(uint64_t list_head, ModuleList& out) {
  Record record;
  size_t forward = 0;
  ListVisitor visitor;
  visitor.load = [&](uint64_t node) -> Result<ListLinks> {
    KCD_TRY(record.Load(kernel_, node - next_.offset, layout_.bytes()));
    return ListLinks{record.Unsigned(next_), record.Unsigned(prev_)};
  };
  visitor.keep = [&](uint64_t, bool backwards) {
    if (!backwards) ++forward;
    out.modules.push_back(Describe(record, out));
    return true;
  };
  ListOutcome walk = WalkList(kernel_, list_head, kMaxModules, "the list of modules", visitor);
  std::reverse(out.modules.begin() + static_cast<ptrdiff_t>(forward), out.modules.end());
  return walk;
}

}  // namespace

Result<ModuleList> WalkModules(MemoryView& kernel, const TypeCatalog& types, uint64_t list_head) {
  ModuleList out;
  KCD_ASSIGN(ModuleReader reader, ModuleReader::Create(kernel, types, out.notes));
  const ListOutcome walk = reader.Walk(list_head, out);
  if (!walk.note.empty()) out.notes.push_back(walk.note);
  out.incomplete |= walk.lost;
  LimitNotes(out.notes);
  return out;
}

}  // namespace kcoredump
