// SPDX-License-Identifier: MIT
#include "kcoredump/isf.h"

#include <unistd.h>

#include <array>
#include <unordered_map>
#include <unordered_set>

#include "base/base64.h"
#include "base/error.h"
#include "base/output_file.h"
#include "base/try.h"
#include "inspect/session.h"
#include "inspect/value/isf_types.h"
#include "kcoredump/version.h"

namespace kcoredump {

namespace {

using nlohmann::json;

constexpr size_t kMaxBannerBytes = 1024;
constexpr std::string_view kBannerStart = "Linux version ";

/// The variables that Volatility's plugins for Linux begin with, and their types in the kernel's
/// headers. Those that a kernel lacks are left out.
struct KnownVariable {
  std::string_view name;
  std::string_view type;
  uint32_t count = 0;  ///< of an array; 0: none
};
constexpr std::array kKnownVariables = {
    KnownVariable{"init_task", "struct task_struct"},
    KnownVariable{"init_files", "struct files_struct"},
    KnownVariable{"init_fs", "struct fs_struct"},
    KnownVariable{"init_mm", "struct mm_struct"},
    KnownVariable{"init_cred", "struct cred"},
    KnownVariable{"init_nsproxy", "struct nsproxy"},
    KnownVariable{"init_pid_ns", "struct pid_namespace"},
    KnownVariable{"init_uts_ns", "struct uts_namespace"},
    KnownVariable{"init_user_ns", "struct user_namespace"},
    KnownVariable{"init_net", "struct net"},
    KnownVariable{"net_namespace_list", "struct list_head"},
    KnownVariable{"modules", "struct list_head"},
    KnownVariable{"module_kset", "struct kset *"},
    KnownVariable{"vmap_area_list", "struct list_head"},
    KnownVariable{"super_blocks", "struct list_head"},
    KnownVariable{"tty_drivers", "struct list_head"},
    KnownVariable{"keyboard_notifier_list", "struct atomic_notifier_head"},
    KnownVariable{"iomem_resource", "struct resource"},
    KnownVariable{"ioport_resource", "struct resource"},
    KnownVariable{"idt_table", "gate_desc", 256},
    KnownVariable{"prog_idr", "struct idr"},
    KnownVariable{"map_idr", "struct idr"},
    KnownVariable{"link_idr", "struct idr"},
    KnownVariable{"prb", "struct printk_ringbuffer *"},
    KnownVariable{"log_buf", "char *"},
    KnownVariable{"log_buf_len", "u32"},
    KnownVariable{"ftrace_ops_list", "struct ftrace_ops *"},
    KnownVariable{"ftrace_list_end", "struct ftrace_ops"},
    KnownVariable{"socket_file_ops", "struct file_operations"},
    KnownVariable{"sockfs_dentry_operations", "struct dentry_operations"},
    KnownVariable{"saved_command_line", "char *"},
    KnownVariable{"page_offset_base", "unsigned long"},
    KnownVariable{"vmalloc_base", "unsigned long"},
    KnownVariable{"vmemmap_base", "unsigned long"},
    KnownVariable{"jiffies_64", "u64"},
    KnownVariable{"nr_threads", "int"},
    KnownVariable{"pgdir_list", "struct list_head"},
    KnownVariable{"__cpu_online_mask", "struct cpumask"},
    KnownVariable{"__cpu_possible_mask", "struct cpumask"},
};

class IsfWriter {
 public:
  IsfWriter(Session& session, const TypeCatalog& types, const SymbolTable& symbols, ByteSink& sink)
      : session_(session), catalog_(types), symbols_(symbols), sink_(sink), types_(types) {
    for (const VariableEntry& variable : types.Variables()) {
      variables_.emplace(variable.name, types_.Describe(variable.type));
    }
    for (const KnownVariable& known : kKnownVariables) AddKnown(known);
  }

  Result<IsfReport> Write() {
    KCD_TRY(Put("{\n\"metadata\": " + Metadata().dump() + ",\n\"symbols\": {"));
    KCD_TRY(WriteSymbols());
    KCD_TRY(Put("\n},\n\"user_types\": {"));
    KCD_TRY(WriteTypes());
    KCD_TRY(Put("\n},\n\"enums\": {" + enums_ +
                "\n},\n\"base_types\": " + Text(types_.base_types()) + "\n}\n"));
    return std::move(report_);
  }

 private:
  Status Put(const std::string& text) { return sink_.Write(std::as_bytes(std::span(text))); }
  static std::string Text(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
  }
  static json Metadata() {
    return {{"format", "6.2.0"}, {"producer", {{"name", "kcoredump"}, {"version", kVersion}}}};
  }

  Status WriteSymbols();
  json Describe(const Symbol& symbol, uint64_t kaslr_offset);
  void AddKnown(const KnownVariable& known);
  void AddBanner(const Symbol& symbol, json& entry);
  Status WriteTypes();

  Session& session_;
  const TypeCatalog& catalog_;
  const SymbolTable& symbols_;
  ByteSink& sink_;
  IsfTypes types_;
  std::unordered_map<std::string_view, json> variables_;  ///< types by name
  std::string enums_;
  IsfReport report_;
};

/// Unless BTF knows better.
void IsfWriter::AddKnown(const KnownVariable& known) {
  const auto type = catalog_.Find(known.type);
  if (!type.ok()) return;
  json described = types_.Describe(type.value());
  if (known.count != 0) {
    described = {{"kind", "array"}, {"count", known.count}, {"subtype", std::move(described)}};
  }
  variables_.emplace(known.name, std::move(described));
}

/// Volatility finds the kernel by these bytes, and tells kernels apart by them.
void IsfWriter::AddBanner(const Symbol& symbol, json& entry) {
  const auto banner = session_.kernel().ReadString(symbol.address, kMaxBannerBytes);
  if (!banner.ok()) {
    report_.findings.Lost("linux_banner cannot be read, and Volatility finds no kernel without: " +
                          banner.error().message);
    return;
  }
  if (!banner.value().starts_with(kBannerStart)) {
    report_.findings.Lost(
        "there is no banner at linux_banner, and Volatility finds no kernel without");
    return;
  }
  std::string bytes = banner.value();
  bytes += '\0';
  entry["constant_data"] = EncodeBase64(std::as_bytes(std::span(bytes)));
  const auto character = catalog_.Find("char");
  if (!character.ok()) return;
  entry["type"] = {
      {"kind", "array"}, {"count", bytes.size()}, {"subtype", types_.Describe(character.value())}};
}

/// Volatility wants addresses as the kernel was linked, and finds out how far it was moved.
json IsfWriter::Describe(const Symbol& symbol, uint64_t kaslr_offset) {
  const Architecture* arch = session_.facts().arch;
  const bool moved = arch != nullptr && arch->IsKernelAddress(symbol.address);
  json entry = {{"address", symbol.address - (moved ? kaslr_offset : 0)}};
  if (const auto variable = variables_.find(symbol.name); variable != variables_.end()) {
    entry["type"] = variable->second;
    ++report_.typed_symbols;
  }
  if (symbol.name == "linux_banner") AddBanner(symbol, entry);
  return entry;
}

Status IsfWriter::WriteSymbols() {
  const auto kaslr_offset = session_.facts().vmcoreinfo.KaslrOffset();
  if (!kaslr_offset) {
    report_.findings.Add(
        "VMCOREINFO tells no KASLR offset: addresses are as they were at run time");
  }
  std::unordered_set<std::string_view> seen;
  for (size_t i = 0; i < symbols_.size(); ++i) {
    const Symbol symbol = symbols_.At(i);
    if (!symbol.module.empty() || !seen.insert(symbol.name).second) continue;
    const std::string name = Text(std::string(symbol.name));
    KCD_TRY(Put((report_.symbols == 0 ? "\n" : ",\n") + name + ": " +
                Text(Describe(symbol, kaslr_offset.value_or(0)))));
    ++report_.symbols;
  }
  if (!seen.contains("linux_banner")) {
    report_.findings.Lost("no linux_banner is known, and Volatility finds no kernel without");
  }
  return {};
}

Status IsfWriter::WriteTypes() {
  for (const TypeRef named : catalog_.Named()) (void)types_.Describe(named);
  for (TypeRef type = types_.TakeNext(); type.id != 0; type = types_.TakeNext()) {
    const std::string key = Text(types_.KeyOf(type)) + ": ";
    if (catalog_.KindOf(type) == TypeKind::kEnum) {
      enums_ += (report_.enums++ == 0 ? "\n" : ",\n") + key + Text(types_.Enum(type));
      continue;
    }
    KCD_TRY(Put((report_.types++ == 0 ? "\n" : ",\n") + key + Text(types_.UserType(type))));
  }
  return {};
}

}  // namespace

Result<IsfReport> WriteIsf(Kernel& kernel, const std::string& output, bool force) {
  Session& session = kernel.session();
  KCD_ASSIGN(const SymbolTable* symbols, session.Symbols());
  KCD_ASSIGN(const TypeCatalog* types, session.Types());
  std::unique_ptr<ByteSink> sink = CreatePipeSink(STDOUT_FILENO);
  if (output != "-") {
    KCD_ASSIGN(sink, CreateOutputFile(output, force));
  }
  KCD_ASSIGN(IsfReport report, IsfWriter(session, *types, *symbols, *sink).Write());
  KCD_TRY(sink->Publish(true));
  return report;
}

}  // namespace kcoredump
