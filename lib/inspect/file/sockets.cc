// SPDX-License-Identifier: MIT
#include "inspect/file/sockets.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_map>

#include "base/error.h"
#include "base/try.h"
#include "inspect/ask_again.h"
#include "inspect/file/files.h"
#include "inspect/file/sock_reader.h"
#include "inspect/file/socket_tables.h"
#include "kcoredump/text.h"
#include "symbol/record.h"

namespace kcoredump {

namespace {

/// Of all processes together, open or not: forged tables hold millions each.
constexpr size_t kMaxDescriptorsOfAll = 32 << 20;
constexpr size_t kMaxOpenOfAll = 4 << 20;
/// Forged processes may all share one table.
constexpr size_t kMaxOwners = 1 << 20;

/// Who has which struct sock open.
class OwnerFinder {
 public:
  using Owners = std::unordered_map<uint64_t, std::vector<SocketOwner>>;

  [[nodiscard]] static Result<OwnerFinder> Create(const TaskSources& sources, Findings& findings);
  [[nodiscard]] Result<Owners> Find();

 private:
  OwnerFinder(const TaskSources& sources, Findings& findings, DescriptorTable table)
      : sources_(sources), findings_(findings), table_(table) {}
  void AddTask(const TaskHead& task, Owners& owners);
  [[nodiscard]] bool Full() const {
    return open_ >= kMaxOpenOfAll || table_.looked_at() >= kMaxDescriptorsOfAll;
  }
  /// Of a struct file; 0: it is no socket.
  [[nodiscard]] uint64_t SockOf(uint64_t file);
  [[nodiscard]] bool IsSocket(const Record& file);

  const TaskSources& sources_;
  Findings& findings_;
  DescriptorTable table_;
  Field operations_, private_data_, inode_;  ///< of file
  uint64_t file_bytes_ = 0;                  ///< as far as those reach
  Field inode_mode_;                         ///< of inode
  Field sock_;                               ///< of socket
  std::optional<uint64_t> socket_operations_;
  std::unordered_map<uint64_t, std::vector<DescriptorTable::Entry>> tables_;  ///< sockets alone
  std::unordered_map<uint64_t, uint64_t> socks_;                              ///< by struct file
  std::set<std::pair<uint32_t, uint64_t>> met_;  ///< process and files_struct
  size_t open_ = 0;
  size_t owners_ = 0;
};

Result<OwnerFinder> OwnerFinder::Create(const TaskSources& sources, Findings& findings) {
  KCD_ASSIGN(DescriptorTable table, DescriptorTable::Create(sources));
  OwnerFinder finder(sources, findings, table);
  KCD_ASSIGN(const Layout file, Layout::Of(sources.types, "struct file"));
  KCD_ASSIGN(finder.operations_, file.Need("f_op"));
  KCD_ASSIGN(finder.private_data_, file.Need("private_data"));
  KCD_ASSIGN(finder.inode_, file.Need("f_inode"));
  for (const Field& field : {finder.operations_, finder.private_data_, finder.inode_}) {
    finder.file_bytes_ = std::max(finder.file_bytes_, field.offset + field.bytes);
  }
  KCD_ASSIGN(const Layout inode, Layout::Of(sources.types, "struct inode"));
  KCD_ASSIGN(finder.inode_mode_, inode.Need("i_mode"));
  KCD_ASSIGN(const Layout socket, Layout::Of(sources.types, "struct socket"));
  KCD_ASSIGN(finder.sock_, socket.Need("sk"));
  finder.socket_operations_ = sources.symbol("socket_file_ops");
  return finder;
}

bool OwnerFinder::IsSocket(const Record& file) {
  if (socket_operations_) return file.Unsigned(operations_) == *socket_operations_;
  const auto mode = sources_.kernel.ReadValue<uint16_t>(file.Unsigned(inode_) + inode_mode_.offset);
  return mode.ok() && S_ISSOCK(mode.value());
}

uint64_t OwnerFinder::SockOf(uint64_t address) {
  const auto [known, is_new] = socks_.try_emplace(address, 0);
  if (!is_new) return known->second;
  Record file;
  const Status read = file.Load(sources_.kernel, address, file_bytes_);
  if (!read.ok()) findings_.Lost("an open file cannot be read: " + read.error().message);
  if (!read.ok() || !IsSocket(file)) return 0;
  const auto sock =
      sources_.kernel.ReadValue<uint64_t>(file.Unsigned(private_data_) + sock_.offset);
  if (!sock.ok()) findings_.Lost("an open socket cannot be read: " + sock.error().message);
  return known->second = sock.ok() ? sock.value() : 0;
}

void OwnerFinder::AddTask(const TaskHead& task, Owners& owners) {
  if (task.files == 0 || !met_.emplace(task.tgid, task.files).second) return;
  const auto [table, is_new] = tables_.try_emplace(task.files);
  if (is_new && !Full()) {
    std::vector<DescriptorTable::Entry> entries = table_.Entries(task.files, findings_);
    open_ += entries.size();
    std::erase_if(entries, [&](const auto& entry) { return SockOf(entry.file) == 0; });
    entries.shrink_to_fit();
    table->second = std::move(entries);
  }
  for (const DescriptorTable::Entry& entry : table->second) {
    if (++owners_ > kMaxOwners) return;
    owners[SockOf(entry.file)].push_back(
        {.pid = task.tgid, .descriptor = entry.descriptor, .comm = task.comm});
  }
}

Result<OwnerFinder::Owners> OwnerFinder::Find() {
  Owners owners;
  KCD_TRY(VisitTasks(sources_, true, findings_, [&](const TaskHead& task) {
    AddTask(task, owners);
    return owners_ <= kMaxOwners;
  }));
  if (Full()) {
    findings_.Lost("only the first " + Grouped(table_.looked_at()) +
                   " file descriptors are looked at, " + Grouped(open_) + " of them open");
  }
  if (owners_ > kMaxOwners) {
    findings_.Lost("only the first " + Grouped(kMaxOwners) + " owners of sockets are listed");
  }
  return owners;
}

/// Without what cannot be had.
OwnerFinder::Owners FindOwners(const TaskSources& sources, Findings& findings) {
  auto finder = OwnerFinder::Create(sources, findings);
  auto owners = finder.ok() ? finder.value().Find() : Result<OwnerFinder::Owners>(finder.error());
  if (owners.ok()) return std::move(owners.value());
  findings.Add(owners.error().message + ": which processes have sockets open is not known");
  return {};
}

}  // namespace

Result<SocketList> WalkSockets(const TaskSources& sources) {
  SocketList list;
  KCD_ASSIGN(SockReader reader, SockReader::Create(sources, list.findings));
  KCD_ASSIGN(SocketTables tables, SocketTables::Create(sources, list.findings));
  OwnerFinder::Owners owners = FindOwners(sources, list.findings);
  const auto add = [&](uint64_t sock, bool listed) {
    auto socket = reader.Describe(sock);
    if (!socket.ok()) {
      list.findings.Lost("the socket at " + HexAddress(sock) +
                         " cannot be read: " + socket.error().message);
      return;
    }
    socket.value().listed = listed;
    if (auto found = owners.find(sock); found != owners.end()) {
      std::vector<SocketOwner>& theirs = socket.value().owners = std::move(found->second);
      std::sort(theirs.begin(), theirs.end(), [](const SocketOwner& a, const SocketOwner& b) {
        return std::tie(a.pid, a.descriptor) < std::tie(b.pid, b.descriptor);
      });
      owners.erase(found);
    }
    list.sockets.push_back(std::move(socket.value()));
  };
  tables.Walk([&](uint64_t sock) {
    add(sock, true);
    return true;
  });
  std::vector<uint64_t> rest;
  for (const auto& [sock, unused] : owners) rest.push_back(sock);
  for (const uint64_t sock : rest) add(sock, false);
  std::sort(list.sockets.begin(), list.sockets.end(), [](const auto& a, const auto& b) {
    return std::tie(a.protocol, a.local_port, a.inode, a.address) <
           std::tie(b.protocol, b.local_port, b.inode, b.address);
  });
  LimitNotes(list.findings.notes);
  return list;
}

Result<SocketList> ListSockets(Kernel& kernel) {
  Session& session = kernel.session();
  KCD_ASSIGN(const TaskSources sources, TaskSourcesOf(session));
  return AskAgainWhileLive(session, [&] { return WalkSockets(sources); });
}

}  // namespace kcoredump
