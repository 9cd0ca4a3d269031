// SPDX-License-Identifier: MIT
//
// struct mounts of a namespace: on a list up to 6.7, in a tree since (2eea9ce4310d). What is told
// of each is fs/proc_namespace.c's show_mountinfo.
#include "inspect/file/mounts.h"

#include <array>
#include <optional>

#include "base/error.h"
#include "base/try.h"
#include "inspect/ask_again.h"
#include "inspect/file/file_path.h"
#include "inspect/file/open_file.h"
#include "kcoredump/text.h"
#include "symbol/list_walk.h"
#include "symbol/record.h"
#include "symbol/tree_walk.h"

namespace kcoredump {

namespace {

struct FlagName {
  uint64_t flag;
  const char* name;
};
/// Kernel: include/linux/mount.h, MNT_…; fs/proc_namespace.c, show_mnt_opts.
constexpr uint64_t kMountReadOnly = 0x40;
constexpr std::array kMountFlags = {FlagName{0x01, "nosuid"},     FlagName{0x02, "nodev"},
                                    FlagName{0x04, "noexec"},     FlagName{0x08, "noatime"},
                                    FlagName{0x10, "nodiratime"}, FlagName{0x20, "relatime"},
                                    FlagName{0x80, "nosymfollow"}};
/// One bit for each way that a mount may be shared: of mnt_flags, and since 6.17 of mnt_t_flags.
constexpr uint64_t kMountShared = 0x1000;
constexpr uint64_t kPropagationShared = 1;
/// Whoever reads /proc/PID/mounts keeps his place so, 5.8 to 6.7 (9f6c61f96f2d).
constexpr uint64_t kMountCursor = 0x10000000;
/// Kernel: include/linux/fs.h, SB_…; fs/proc_namespace.c, show_sb_opts.
constexpr uint64_t kSuperReadOnly = 0x1;
constexpr std::array kSuperFlags = {FlagName{0x10, "sync"}, FlagName{0x80, "dirsync"},
                                    FlagName{0x40, "mand"}, FlagName{0x2000000, "lazytime"}};

constexpr size_t kMaxSourceBytes = 4096;
template <size_t kCount>
std::vector<std::string> OptionWords(uint64_t flags, uint64_t read_only,
                                     const std::array<FlagName, kCount>& names) {
  std::vector<std::string> words = {(flags & read_only) != 0 ? "ro" : "rw"};
  for (const FlagName& each : names) {
    if ((flags & each.flag) != 0) words.emplace_back(each.name);
  }
  return words;
}

class MountReader {
 public:
  [[nodiscard]] static Result<MountReader> Create(const TaskSources& sources, MountList& out);

  [[nodiscard]] Status Walk(const TaskHead& task);

 private:
  MountReader(const TaskSources& sources, MountList& out, Layout mount)
      : sources_(sources), out_(out), layout_(std::move(mount)) {}
  [[nodiscard]] Status FindFields();
  void FindDetails();
  void FindRoot(uint64_t fs);
  [[nodiscard]] Result<uint64_t> NamespaceOf(uint64_t nsproxy);
  [[nodiscard]] ListOutcome WalkNamespace(uint64_t ns);
  void Keep(const Record& mount);
  void DescribePlace(const Record& mount, MountInfo& info);
  void DescribeSuper(uint64_t super, MountInfo& info);
  [[nodiscard]] std::string TextAt(uint64_t pointer_at);

  const TaskSources& sources_;
  MountList& out_;
  Layout layout_;
  std::optional<PathReader> paths_;
  Field list_next_, list_prev_, node_;                         ///< of mount
  Field mnt_, root_, super_, flags_, parent_, id_;             ///< of mount
  Field source_, group_, master_, propagation_;                ///< of mount
  Field ns_list_, ns_tree_, ns_inode_;                         ///< of mnt_namespace
  Field device_, super_flags_, type_, subtype_;                ///< of super_block
  Field type_name_;                                            ///< of file_system_type
  std::optional<std::pair<uint64_t, uint64_t>> process_root_;  ///< vfsmount, dentry
};

Result<MountReader> MountReader::Create(const TaskSources& sources, MountList& out) {
  KCD_ASSIGN(Layout mount, Layout::Of(sources.types, "struct mount"));
  MountReader reader(sources, out, std::move(mount));
  auto paths = PathReader::Create(sources.kernel, sources.types, sources.symbol);
  if (paths.ok()) {
    reader.paths_.emplace(std::move(paths.value()));
  } else {
    out.findings.Add(paths.error().message + ": where mounts stand is not known");
  }
  KCD_TRY(reader.FindFields());
  reader.FindDetails();
  return reader;
}

Status MountReader::FindFields() {
  KCD_ASSIGN(const Layout ns, Layout::Of(sources_.types, "struct mnt_namespace"));
  ns_list_ = ns.Find("list");
  ns_inode_ = ns.Find("ns.inum");
  if (ns_list_.known()) {
    KCD_ASSIGN(list_next_, layout_.Need("mnt_list.next"));
    KCD_ASSIGN(list_prev_, layout_.Need("mnt_list.prev"));
  } else {
    KCD_ASSIGN(ns_tree_, ns.Need("mounts.rb_node"));
    // The tree shared mnt_list's place in 6.8 and 6.9.
    node_ = layout_.Find("mnt_node");
    if (!node_.known()) {
      KCD_ASSIGN(node_, layout_.Need("mnt_list"));
    }
  }
  KCD_ASSIGN(mnt_, layout_.Need("mnt"));
  KCD_ASSIGN(root_, layout_.Need("mnt.mnt_root"));
  KCD_ASSIGN(super_, layout_.Need("mnt.mnt_sb"));
  KCD_ASSIGN(parent_, layout_.Need("mnt_parent"));
  return {};
}

void MountReader::FindDetails() {
  auto& notes = out_.findings.notes;
  flags_ = layout_.Find("mnt.mnt_flags", "options of mounts are not known", notes);
  id_ = layout_.Find("mnt_id", "ids of mounts are not known", notes);
  source_ = layout_.Find("mnt_devname", "sources of mounts are not known", notes);
  group_ = layout_.Find("mnt_group_id");
  master_ = layout_.Find("mnt_master");
  propagation_ = layout_.Find("mnt_t_flags");
  const auto super = Layout::Of(sources_.types, "struct super_block");
  const auto type = Layout::Of(sources_.types, "struct file_system_type");
  if (!super.ok() || !type.ok()) {
    notes.push_back((super.ok() ? type.error() : super.error()).message +
                    ": file systems are not known");
    return;
  }
  device_ = super.value().Find("s_dev", "devices are not known", notes);
  super_flags_ = super.value().Find("s_flags", "options of file systems are not known", notes);
  type_ = super.value().Find("s_type", "types of file systems are not known", notes);
  subtype_ = super.value().Find("s_subtype");
  type_name_ = type.value().Find("name", "types of file systems are not known", notes);
}

void MountReader::FindRoot(uint64_t fs) {
  const auto layout = Layout::Of(sources_.types, "struct fs_struct");
  const Field mnt = layout.ok() ? layout.value().Find("root.mnt") : Field{};
  const Field dentry = layout.ok() ? layout.value().Find("root.dentry") : Field{};
  if (fs == 0 || !mnt.known() || !dentry.known()) return;
  const auto mount_at = sources_.kernel.ReadValue<uint64_t>(fs + mnt.offset);
  const auto dentry_at = sources_.kernel.ReadValue<uint64_t>(fs + dentry.offset);
  if (mount_at.ok() && dentry_at.ok()) process_root_.emplace(mount_at.value(), dentry_at.value());
}

Result<uint64_t> MountReader::NamespaceOf(uint64_t nsproxy) {
  KCD_ASSIGN(const Layout layout, Layout::Of(sources_.types, "struct nsproxy"));
  KCD_ASSIGN(const Field ns, layout.Need("mnt_ns"));
  return sources_.kernel.ReadValue<uint64_t>(nsproxy + ns.offset);
}

std::string MountReader::TextAt(uint64_t pointer_at) {
  const auto pointer = sources_.kernel.ReadValue<uint64_t>(pointer_at);
  if (!pointer.ok() || pointer.value() == 0) return {};
  auto text = sources_.kernel.ReadString(pointer.value(), kMaxSourceBytes);
  if (text.ok() && paths_ && !paths_->Spend(text.value().size()).ok()) return {};
  return text.ok() ? std::move(text.value()) : std::string();
}

void MountReader::DescribePlace(const Record& mount, MountInfo& info) {
  if (!paths_) return;
  const uint64_t mnt = mount.address() + mnt_.offset;
  const uint64_t dentry = mount.Unsigned(root_);
  const auto within = paths_->PathWithin(dentry);
  const auto place = paths_->PathOf(mnt, dentry);
  if (!within.ok() || !place.ok()) {
    out_.findings.Lost("where mount " + std::to_string(info.id) + " stands cannot be had: " +
                       (within.ok() ? place.error() : within.error()).message);
    return;
  }
  info.root = within.value().text + (within.value().deleted ? "//deleted" : "");
  info.mount_point = place.value().text;
  if (!process_root_) return;
  const auto below = paths_->IsBelow(mnt, dentry, process_root_->first, process_root_->second);
  info.visible = below.ok() && below.value();
}

void MountReader::DescribeSuper(uint64_t super, MountInfo& info) {
  const auto device = sources_.kernel.ReadValue<uint32_t>(super + device_.offset);
  const auto flags = sources_.kernel.ReadValue<uint64_t>(super + super_flags_.offset);
  if (!device.ok() || !flags.ok()) {
    out_.findings.Lost("the file system of mount " + std::to_string(info.id) + " cannot be read: " +
                       (device.ok() ? flags.error() : device.error()).message);
    return;
  }
  const DeviceNumber number = DeviceOf(device.value());
  info.device_major = number.major;
  info.device_minor = number.minor;
  if (super_flags_.known()) {
    info.super_options = OptionWords(flags.value(), kSuperReadOnly, kSuperFlags);
  }
  if (!type_.known() || !type_name_.known()) return;
  const auto type = sources_.kernel.ReadValue<uint64_t>(super + type_.offset);
  if (type.ok()) info.type = TextAt(type.value() + type_name_.offset);
  const std::string subtype = subtype_.known() ? TextAt(super + subtype_.offset) : "";
  if (!subtype.empty()) info.type += "." + subtype;
}

void MountReader::Keep(const Record& mount) {
  const uint64_t flags = mount.Unsigned(flags_);
  if ((flags & kMountCursor) != 0 && ns_list_.known()) return;
  MountInfo info;
  info.address = mount.address();
  info.id = static_cast<uint32_t>(mount.Unsigned(id_));
  const auto number_at = [&](uint64_t other, const Field& field) {
    const auto number = sources_.kernel.ReadValue<uint32_t>(other + field.offset);
    return field.known() && number.ok() ? number.value() : 0;
  };
  info.parent_id = number_at(mount.Unsigned(parent_), id_);
  if (flags_.known()) info.options = OptionWords(flags, kMountReadOnly, kMountFlags);
  const bool shared = propagation_.known()
                          ? (mount.Unsigned(propagation_) & kPropagationShared) != 0
                          : (flags & kMountShared) != 0;
  if (shared) info.shared_group = static_cast<uint32_t>(mount.Unsigned(group_));
  const uint64_t master = mount.Unsigned(master_);
  if (master != 0) info.master_group = number_at(master, group_);
  if (source_.known()) info.source = TextAt(mount.address() + source_.offset);
  DescribePlace(mount, info);
  if (device_.known()) DescribeSuper(mount.Unsigned(super_), info);
  out_.mounts.push_back(std::move(info));
}

ListOutcome MountReader::WalkNamespace(uint64_t ns) {
  Record mount;
  if (!ns_list_.known()) {
    return WalkTree(sources_.kernel, ns + ns_tree_.offset, kMaxMounts, "the tree of mounts",
                    [&](uint64_t node) {
                      const Status read =
                          mount.Load(sources_.kernel, node - node_.offset, layout_.bytes());
                      if (read.ok()) Keep(mount);
                      if (!read.ok()) out_.findings.Lost("a mount: " + read.error().message);
                      return true;
                    });
  }
  ListVisitor visitor;
  visitor.load = [&](uint64_t node) -> Result<ListLinks> {
    KCD_TRY(mount.Load(sources_.kernel, node - list_next_.offset, layout_.bytes()));
    return ListLinks{mount.Unsigned(list_next_), mount.Unsigned(list_prev_)};
  };
  visitor.keep = [&](uint64_t, bool) {
    Keep(mount);
    return true;
  };
  return WalkList(sources_.kernel, ns + ns_list_.offset, kMaxMounts, "the list of mounts", visitor);
}

Status MountReader::Walk(const TaskHead& task) {
  KCD_ASSIGN(const uint64_t ns, NamespaceOf(task.nsproxy));
  FindRoot(task.fs);
  const auto inode = sources_.kernel.ReadValue<uint32_t>(ns + ns_inode_.offset);
  if (ns_inode_.known() && inode.ok()) out_.namespace_inode = inode.value();
  const ListOutcome walk = WalkNamespace(ns);
  if (!walk.note.empty()) out_.findings.Add(walk.note);
  out_.findings.incomplete = out_.findings.incomplete || walk.lost;
  LimitNotes(out_.findings.notes);
  return {};
}

}  // namespace

Result<MountList> WalkMounts(const TaskSources& sources, uint32_t pid) {
  KCD_ASSIGN(const TaskHead task, FindTask(sources, pid));
  if (task.nsproxy == 0) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "process " + std::to_string(pid) + " has exited: it has no namespaces");
  }
  MountList list{.pid = pid, .comm = task.comm, .mounts = {}, .findings = {}};
  KCD_ASSIGN(MountReader reader, MountReader::Create(sources, list));
  KCD_TRY(reader.Walk(task));
  return list;
}

Result<MountList> ListMounts(Kernel& kernel, uint32_t pid) {
  Session& session = kernel.session();
  KCD_ASSIGN(const TaskSources sources, TaskSourcesOf(session));
  return AskAgainWhileLive(session, [&] { return WalkMounts(sources, pid); });
}

}  // namespace kcoredump
