// SPDX-License-Identifier: MIT
//
// Tables of operations: those that the kernel's live objects point to, which have their types by
// that, and those that are only known by name.
#include <algorithm>
#include <array>
#include <unordered_set>

#include "inspect/check/checks.h"
#include "inspect/check/operation_tables.h"
#include "inspect/file/files.h"
#include "kcoredump/text.h"
#include "symbol/tree_walk.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxProtocols = 4096;
constexpr size_t kMaxNamespacesOfProc = 65536;
constexpr size_t kMaxProcEntries = 1 << 20;
constexpr size_t kMaxProcDepth = 16;
/// Of all processes together.
constexpr size_t kMaxOpenFiles = 4 << 20;

/// What the end of a name tells of a table's type.
struct NamedTables {
  std::string_view ending;
  const char* type;
};
constexpr std::array kNamedTables = {
    NamedTables{"_fops", "struct file_operations"},
    NamedTables{"_file_operations", "struct file_operations"},
    NamedTables{"_file_ops", "struct file_operations"},
    NamedTables{"_dir_operations", "struct file_operations"},
    NamedTables{"_inode_operations", "struct inode_operations"},
    NamedTables{"_iops", "struct inode_operations"},
    NamedTables{"_proc_ops", "struct proc_ops"},
    NamedTables{"_seq_ops", "struct seq_operations"},
    NamedTables{"_seq_op", "struct seq_operations"},
    NamedTables{"_seq_afinfo", "struct tcp_seq_afinfo"},
    NamedTables{"_stream_ops", "struct proto_ops"},
    NamedTables{"_dgram_ops", "struct proto_ops"},
    NamedTables{"_seqpacket_ops", "struct proto_ops"},
    NamedTables{"_sockraw_ops", "struct proto_ops"},
    NamedTables{"_proto_ops", "struct proto_ops"},
    NamedTables{"netlink_ops", "struct proto_ops"},
    NamedTables{"packet_ops", "struct proto_ops"},
    NamedTables{"_prot", "struct proto"},
};

bool IsDataLetter(char letter) {
  return std::string_view("dDrRbB").find(letter) != std::string_view::npos;
}

class OperationsChecker {
 public:
  OperationsChecker(const CheckSources& sources, CheckLog& log)
      : sources_(sources), log_(log), tables_(sources, log) {}

  void CheckOpenFiles();
  void CheckProtocols();
  void CheckSocketsOf(const SocketList& sockets);
  void CheckProc();
  void CheckNames();

 private:
  [[nodiscard]] bool FindProcFields();
  void CheckProcTree(uint64_t entry, const std::string& path, size_t depth);
  void CheckProcEntry(uint64_t entry, const std::string& path);
  [[nodiscard]] Field Member(const char* type, const char* member) const;
  [[nodiscard]] std::string TableName(uint64_t address, const std::string& otherwise) const;

  const CheckSources& sources_;
  CheckLog& log_;
  OperationTables tables_;
  Field subtree_, node_, name_, operations_, sequence_, flags_;  ///< of proc_dir_entry
  std::vector<uint64_t> sequences_, singles_;  ///< tables that use the entry's own
  std::unordered_set<uint64_t> met_entries_;
};

Field OperationsChecker::Member(const char* type, const char* member) const {
  const auto layout = Layout::Of(sources_.kernel.types, type);
  return layout.ok() ? layout.value().Find(member) : Field{};
}

std::string OperationsChecker::TableName(uint64_t address, const std::string& otherwise) const {
  const std::string name = sources_.NameOf(address);
  return name.empty() ? otherwise : name;
}

void OperationsChecker::CheckOpenFiles() {
  const Field operations = Member("struct file", "f_op");
  auto table = DescriptorTable::Create(sources_.kernel);
  if (!operations.known() || !table.ok()) {
    return log_.Unchecked("open files: this kernel lacks a member that they are found by");
  }
  std::unordered_set<uint64_t> met;
  size_t files = 0;
  Findings findings;
  const Status walked = VisitTasks(sources_.kernel, false, findings, [&](const TaskHead& task) {
    if (task.files == 0 || !met.insert(task.files).second) return true;
    for (const auto& entry : table.value().Entries(task.files, findings)) {
      const uint64_t at = sources_.WordAt(entry.file + operations.offset);
      tables_.Check(at, "struct file_operations",
                    TableName(at, "what PID " + std::to_string(task.pid) + " has open as " +
                                      std::to_string(entry.descriptor)));
      ++files;
    }
    return files < kMaxOpenFiles;
  });
  for (std::string& note : findings.notes) log_.Unchecked(std::move(note));
  if (!walked.ok()) log_.Unchecked("open files: " + walked.error().message);
}

void OperationsChecker::CheckProtocols() {
  const auto head = sources_.kernel.symbol("proto_list");
  const Field links = Member("struct proto", "node");
  if (!head || !links.known()) {
    return log_.Unchecked("protocols: this kernel lacks proto_list or struct proto");
  }
  log_.VisitList(*head, links.offset, kMaxProtocols, "the list of protocols", [&](uint64_t proto) {
    tables_.Check(proto, "struct proto", TableName(proto, "a protocol"));
  });
}

void OperationsChecker::CheckSocketsOf(const SocketList& sockets) {
  const Field to_socket = Member("struct sock", "sk_socket");
  const Field protocol = Member("struct sock", "__sk_common.skc_prot");
  const Field operations = Member("struct socket", "ops");
  if (!to_socket.known() || !protocol.known() || !operations.known()) {
    return log_.Unchecked("sockets: this kernel lacks sk_socket, skc_prot or socket.ops");
  }
  for (const SocketInfo& socket : sockets.sockets) {
    if (socket.inode == 0) continue;  // what is left of one: no struct sock
    const std::string what = "a socket of " + socket.protocol;
    const uint64_t proto = sources_.WordAt(socket.address + protocol.offset);
    tables_.Check(proto, "struct proto", TableName(proto, what));
    const uint64_t its_socket = sources_.WordAt(socket.address + to_socket.offset);
    const uint64_t ops = its_socket == 0 ? 0 : sources_.WordAt(its_socket + operations.offset);
    tables_.Check(ops, "struct proto_ops", TableName(ops, what));
  }
}

bool OperationsChecker::FindProcFields() {
  constexpr char kEntry[] = "struct proc_dir_entry";
  subtree_ = Member(kEntry, "subdir");
  node_ = Member(kEntry, "subdir_node");
  name_ = Member(kEntry, "name");
  operations_ = Member(kEntry, "proc_ops");  // 5.6, d56c0d45f0e2
  sequence_ = Member(kEntry, "seq_ops");
  flags_ = Member(kEntry, "mode");
  for (const char* name : {"proc_seq_ops", "proc_net_seq_ops"}) {
    if (const auto at = sources_.kernel.symbol(name)) sequences_.push_back(*at);
  }
  for (const char* name : {"proc_single_ops", "proc_net_single_ops"}) {
    if (const auto at = sources_.kernel.symbol(name)) singles_.push_back(*at);
  }
  return subtree_.known() && node_.known() && name_.known() && operations_.known() &&
         sequence_.known() && flags_.known();
}

/// Kernel: fs/proc/internal.h. A directory has proc_dir_ops in proc_ops' place.
void OperationsChecker::CheckProcEntry(uint64_t entry, const std::string& path) {
  constexpr uint16_t kTypeMask = 0170000;
  constexpr uint16_t kDirectory = 0040000;
  constexpr uint16_t kLink = 0120000;
  const auto mode = sources_.kernel.kernel.ReadValue<uint16_t>(entry + flags_.offset);
  if (!mode.ok() || (mode.value() & kTypeMask) == kLink) return;
  const uint64_t operations = sources_.WordAt(entry + operations_.offset);
  if ((mode.value() & kTypeMask) == kDirectory) {
    return tables_.Check(operations, "struct file_operations", TableName(operations, path));
  }
  tables_.Check(operations, "struct proc_ops", TableName(operations, path));
  const auto is_one_of = [&](const std::vector<uint64_t>& known) {
    return std::find(known.begin(), known.end(), operations) != known.end();
  };
  if (is_one_of(sequences_)) {
    const uint64_t sequence = sources_.WordAt(entry + sequence_.offset);
    tables_.Check(sequence, "struct seq_operations", TableName(sequence, path));
  } else if (is_one_of(singles_)) {
    tables_.CheckPointer(entry + sequence_.offset, path + " (single_show)");
  }
}

void OperationsChecker::CheckProcTree(uint64_t entry, const std::string& path, size_t depth) {
  if (depth > kMaxProcDepth) return log_.Unchecked(path + " is deeper than any of /proc");
  log_.Report(WalkTree(
      sources_.kernel.kernel, entry + subtree_.offset, kMaxProcEntries, "the tree of " + path,
      [&](uint64_t node) {
        const uint64_t child = node - node_.offset;
        if (met_entries_.size() >= kMaxProcEntries || !met_entries_.insert(child).second) {
          return false;
        }
        auto name =
            sources_.kernel.kernel.ReadString(sources_.WordAt(child + name_.offset), UINT8_MAX);
        const std::string below = path + "/" + (name.ok() ? name.value() : std::string("?"));
        CheckProcEntry(child, below);
        CheckProcTree(child, below, depth + 1);
        return true;
      }));
}

void OperationsChecker::CheckProc() {
  const auto root = sources_.kernel.symbol("proc_root");
  if (!root || !FindProcFields()) {
    return log_.Unchecked("/proc: this kernel lacks proc_root or members of proc_dir_entry");
  }
  CheckProcTree(*root, "/proc", 0);
  const auto head = sources_.kernel.symbol("net_namespace_list");
  const Field links = Member("struct net", "list");
  const Field net = Member("struct net", "proc_net");
  if (!head || !links.known() || !net.known()) {
    return log_.Unchecked("/proc/net: this kernel lacks net_namespace_list or net.proc_net");
  }
  log_.VisitList(*head, links.offset, kMaxNamespacesOfProc, "the list of network namespaces",
                 [&](uint64_t space) {
                   const uint64_t entry = sources_.WordAt(space + net.offset);
                   if (entry != 0) CheckProcTree(entry, "/proc/net", 1);
                 });
}

void OperationsChecker::CheckNames() {
  for (size_t i = 0; i < sources_.symbols.size(); ++i) {
    const Symbol symbol = sources_.symbols.At(i);
    // Events are named after what they trace.
    if (!IsDataLetter(symbol.type) || symbol.name.starts_with("event_class_")) continue;
    for (const NamedTables& named : kNamedTables) {
      if (!symbol.name.ends_with(named.ending)) continue;
      const auto whole = sources_.symbols.StartingAt(symbol.address);
      const uint64_t bytes = whole.empty() ? 0 : whole.front().size;
      tables_.CheckNamed(symbol.address, bytes, named.type, sources_.NameOf(symbol.address));
      break;
    }
  }
}

}  // namespace

void CheckOperations(const CheckSources& sources, const SocketList& sockets, CheckLog& log) {
  OperationsChecker checker(sources, log);
  checker.CheckOpenFiles();
  checker.CheckProtocols();
  checker.CheckSocketsOf(sockets);
  checker.CheckProc();
  checker.CheckNames();
}

}  // namespace kcoredump
