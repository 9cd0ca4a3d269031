// SPDX-License-Identifier: MIT
#include "inspect/session.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/try.h"
#include "format/registry.h"
#include "inspect/evidence.h"
#include "inspect/lazy.h"
#include "kcoredump/text.h"
#include "symbol/kallsyms.h"
#include "symbol/runtime_symbols.h"

namespace kcoredump {

namespace {

constexpr uint64_t kMaxImageBtfBytes = 64 << 20;

/// About as long as it takes to look for a process among thousands.
constexpr std::chrono::milliseconds kLiveProcessLasts{100};

}  // namespace

class Session::State {
 public:
  State(std::unique_ptr<MemorySource> from, std::shared_ptr<PageCache> with_cache)
      : source(std::move(from)), cache(std::move(with_cache)), evidence(*source) {}

  std::unique_ptr<MemorySource> source;
  std::shared_ptr<PageCache> cache;
  std::unique_ptr<PhysicalSpace> physical;
  Evidence evidence;
  std::optional<KernelFacts> facts;
  std::unique_ptr<KernelSpace> kernel;
  Lazy<SymbolTable> symbols;
  bool symbols_decoded = false;  ///< from memory, where modules keep theirs elsewhere
  Lazy<std::unique_ptr<TypeCatalog>> types;
  Lazy<ModuleList> modules;
  Lazy<VmallocAreas> vmalloc;
  struct KnownProcess {
    uint32_t pid = 0;
    uint64_t pgd = 0;
    std::chrono::steady_clock::time_point seen;
  };
  std::optional<KnownProcess> process;
  std::vector<std::string> caveats;
};

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::~Session() = default;

Result<std::unique_ptr<Session>> Session::Open(const std::string& path,
                                               const KernelOptions& options) {
  KCD_ASSIGN(auto source, OpenSource(path));
  auto cache =
      options.cache_bytes == 0 ? nullptr : std::make_shared<PageCache>(options.cache_bytes);
  auto state = std::make_unique<State>(std::move(source), std::move(cache));
  KCD_ASSIGN(state->physical, PhysicalSpace::Create(*state->source, state->cache));
  state->caveats = state->source->Caveats();
  return std::unique_ptr<Session>(new Session(std::move(state)));
}

const MemorySource& Session::source() const { return *state_->source; }

const KernelFacts& Session::facts() {
  if (state_->facts) return *state_->facts;
  auto facts = GatherKernelFacts(source());
  if (!facts.ok()) {
    AddCaveat("VMCOREINFO cannot be used: " + facts.error().message);
    state_->facts.emplace().arch = FindArchitecture(source().machine());
  } else {
    state_->facts = std::move(facts.value());
    if (state_->facts->vmcoreinfo_from_memory) {
      AddCaveat("the image has no VMCOREINFO note; its page was found in memory");
    }
  }
  return *state_->facts;
}

PhysicalSpace& Session::physical() { return *state_->physical; }

KernelSpace& Session::kernel() {
  if (state_->kernel == nullptr) {
    state_->kernel = std::make_unique<KernelSpace>(source(), facts(), physical());
    if (const std::string& missing = state_->kernel->paging_missing(); !missing.empty()) {
      AddCaveat("page tables are not walked: " + missing);
    }
  }
  return *state_->kernel;
}

/// kallsyms' text, or the kernel's own tables, or the few symbols of VMCOREINFO.
Result<SymbolTable> Session::LoadSymbols() {
  const VmcoreInfo& info = facts().vmcoreinfo;
  const std::string_view text = state_->evidence.Text(NoteType::kKallsyms);
  if (!text.empty()) {
    auto table = ParseKallsyms(text, info);
    if (table.ok()) return table;
    AddCaveat("kallsyms: " + table.error().message + "; decoding it from memory");
  }
  SymbolTable::Builder builder;
  Status decoded = DecodeKallsyms(kernel(), info, builder);
  if (decoded.ok()) {
    state_->symbols_decoded = true;
    return std::move(builder).Build();
  }
  SymbolTable::Builder few;
  for (const auto& [name, address] : info.Symbols()) {
    if (!few.Add(address, '?', name, {}).ok()) break;
  }
  if (few.size() == 0) {
    return std::move(decoded.error()).WithContext("no kallsyms, and none in memory");
  }
  AddCaveat("only VMCOREINFO's " + std::to_string(few.size()) +
            " symbols are known: " + decoded.error().message);
  few.WithoutSizes();  // what lies between a few known symbols is not theirs
  return std::move(few).Build();
}

Result<const SymbolTable*> Session::Symbols() {
  const auto load = [this] { return LoadSymbols(); };
  const bool first = !state_->symbols.tried();
  KCD_TRY(state_->symbols.Get(load));
  if (first && state_->symbols_decoded) AddLaterSymbols();
  return state_->symbols.Get(load);
}

/// What the text would have had: the modules' own symbol tables, and the code made at run time.
/// Every step goes back to the kernel's symbols, which are there by now.
void Session::AddLaterSymbols() {
  const auto types = Types();
  if (!types.ok()) {
    AddCaveat("symbols of modules and of code made at run time are missing: " +
              types.error().message);
    return;
  }
  const auto kernel_only = Symbols();
  if (!kernel_only.ok()) return;
  SymbolTable::Builder builder;
  for (size_t i = 0; i < kernel_only.value()->size(); ++i) {
    const Symbol symbol = kernel_only.value()->At(i);
    if (!builder.Add(symbol.address, symbol.type, symbol.name, symbol.module).ok()) return;
  }
  AddModulesSymbols(*types.value(), builder);
  std::vector<std::string> notes;
  const Status added = AddRuntimeSymbols(
      kernel(), *types.value(), [this](std::string_view name) { return FindSymbol(name); }, builder,
      notes);
  if (!added.ok()) AddCaveat("symbols of code made at run time: " + added.error().message);
  for (std::string& note : notes) AddCaveat(std::move(note));
  state_->symbols.Replace(std::move(builder).Build());
}

void Session::AddModulesSymbols(const TypeCatalog& types, SymbolTable::Builder& out) {
  const auto modules = Modules();
  if (!modules.ok()) {
    AddCaveat("modules' symbols are missing: " + modules.error().message);
    return;
  }
  for (const LoadedModule& module : modules.value()->modules) {
    const Status added = AddModuleSymbols(kernel(), types, module, out);
    if (!added.ok()) AddCaveat("symbols of " + module.name + ": " + added.error().message);
  }
}

Result<std::vector<std::byte>> Session::KernelBtf() {
  const auto blob = state_->evidence.KernelBtf();
  if (!blob.empty()) return std::vector(blob.begin(), blob.end());
  if (live()) {
    return MakeError(ErrorCode::kNotFound,
                     "this kernel offers no BTF (/sys/kernel/btf/vmlinux; CONFIG_DEBUG_INFO_BTF)");
  }
  const auto start = SymbolAddress("__start_BTF");
  const auto stop = SymbolAddress("__stop_BTF");
  if (!start.ok() || !stop.ok() || stop.value() <= start.value()) {
    return MakeError(ErrorCode::kNotFound,
                     "no BTF: neither in the image's notes nor in the kernel's memory "
                     "(__start_BTF, __stop_BTF)");
  }
  if (stop.value() - start.value() > kMaxImageBtfBytes) {
    return MakeError(ErrorCode::kLimitExceeded, "BTF in memory of more than 64 MiB");
  }
  std::vector<std::byte> bytes(stop.value() - start.value());
  if (Status read = kernel().Read(start.value(), bytes); !read.ok()) {
    return std::move(read.error()).WithContext("BTF in memory");
  }
  return bytes;
}

Result<std::unique_ptr<TypeCatalog>> Session::LoadTypes() {
  const auto blob = state_->evidence.KernelBtf();
  if (!blob.empty()) return TypeCatalog::Load(blob, state_->evidence.ModulesBtf());
  KCD_ASSIGN(const std::vector<std::byte> bytes, KernelBtf());
  return TypeCatalog::Load(bytes, {});
}

Result<const TypeCatalog*> Session::Types() {
  // Symbols that are decoded from memory want types themselves: they go first, not half-way in.
  if (!live() && state_->evidence.KernelBtf().empty()) KCD_TRY(Symbols());
  KCD_ASSIGN(const auto* types, state_->types.Get([this] { return LoadTypes(); }));
  return static_cast<const TypeCatalog*>(types->get());
}

Result<const TypeCatalog*> Session::NeedTypes() {
  auto types = Types();
  if (types.ok()) return types;
  Error error = std::move(types.error()).WithContext("this kernel's types cannot be had");
  if (error.code == ErrorCode::kNotFound) error.code = ErrorCode::kUnsupported;
  return error;
}

Result<const ModuleList*> Session::Modules() {
  KCD_TRY(Symbols());
  return state_->modules.Get([this]() -> Result<ModuleList> {
    KCD_ASSIGN(const TypeCatalog* types, Types());
    KCD_ASSIGN(const uint64_t head, SymbolAddress("modules"));
    return WalkModules(kernel(), *types, head);
  });
}

Result<VmallocAreas> Session::WalkVmalloc() {
  KCD_ASSIGN(const TypeCatalog* types, Types());
  KCD_ASSIGN(VmallocAreas areas, WalkVmallocAreas(kernel(), *types, [this](std::string_view name) {
               return FindSymbol(name);
             }));
  for (VmallocArea& area : areas.areas) {
    if (area.caller.empty() && area.caller_address != 0) {
      area.caller = Symbolize(area.caller_address);
    }
  }
  return areas;
}

Result<const VmallocAreas*> Session::Vmalloc() {
  return state_->vmalloc.Get([this]() -> Result<VmallocAreas> {
    const std::string_view text = state_->evidence.Text(NoteType::kVmallocinfo);
    if (!text.empty()) {
      auto areas = ParseVmallocInfo(text);
      if (areas.ok()) return areas;
      AddCaveat("vmallocinfo: " + areas.error().message + "; walking the kernel's lists");
    }
    return WalkVmalloc();
  });
}

Result<uint64_t> Session::SymbolAddress(std::string_view name) {
  if (const auto known = facts().vmcoreinfo.Symbol(std::string(name))) return *known;
  KCD_ASSIGN(const SymbolTable* table, Symbols());
  for (const Symbol& symbol : table->Named(name)) {
    if (symbol.module.empty()) return symbol.address;
  }
  return MakeError(ErrorCode::kNotFound, "this kernel has no symbol " + std::string(name));
}

std::optional<uint64_t> Session::FindSymbol(std::string_view name) {
  const auto address = SymbolAddress(name);
  return address.ok() ? std::optional(address.value()) : std::nullopt;
}

std::string Session::Symbolize(uint64_t address) {
  const auto table = Symbols();
  if (!table.ok()) return {};
  const auto symbol = table.value()->Containing(address);
  if (!symbol) return {};
  std::string text(symbol->name);
  text += "+" + Hex(address - symbol->address);
  if (!symbol->module.empty()) text += " [" + std::string(symbol->module) + "]";
  return text;
}

Result<std::unique_ptr<PagedSpace>> Session::ProcessSpace(uint64_t pgd) {
  KCD_ASSIGN(const PhysAddr root, kernel().Translate(VirtAddr{pgd}));
  return kernel().WithRoot(root);
}

std::optional<uint64_t> Session::KnownProcessRoot(uint32_t pid) const {
  const auto& known = state_->process;
  if (!known || known->pid != pid) return std::nullopt;
  const auto age = std::chrono::steady_clock::now() - known->seen;
  return live() && age > kLiveProcessLasts ? std::nullopt : std::optional(known->pgd);
}

void Session::KeepProcessRoot(uint32_t pid, uint64_t pgd) {
  state_->process = {.pid = pid, .pgd = pgd, .seen = std::chrono::steady_clock::now()};
}

void Session::AddCaveat(std::string text) {
  auto& caveats = state_->caveats;
  if (std::find(caveats.begin(), caveats.end(), text) == caveats.end()) {
    caveats.push_back(std::move(text));
  }
}

const std::vector<std::string>& Session::caveats() const { return state_->caveats; }

}  // namespace kcoredump
