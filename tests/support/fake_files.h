// SPDX-License-Identifier: MIT
//
// A FakeKernel with processes, mounts, dentries, inodes and open files.
#pragma once

#include "support/fake_kernel.h"

namespace kcoredump::test {

class FakeFiles : public FakeKernel {
 public:
  static constexpr uint64_t kInitTask = 0xffffffff82000000;
  static constexpr uint64_t kRootMount = 0xffff888000100000;  ///< struct mount
  static constexpr uint64_t kRoot = 0xffff888000101000;       ///< its root dentry
  static constexpr uint64_t kSuper = 0xffff888000102000;
  static constexpr uint64_t kMnt = 32;           ///< offset of vfsmount in a mount
  static constexpr uint64_t kDentryAlias = 112;  ///< offset in a dentry
  static constexpr uint64_t kInodeAliases = 32;  ///< offset in an inode
  // Offsets in a task_struct.
  static constexpr uint64_t kTaskMm = 72;
  static constexpr uint64_t kTaskFiles = 80;
  static constexpr uint64_t kTaskFs = 88;
  static constexpr uint64_t kTaskNsproxy = 96;
  static constexpr uint64_t kTaskFlags = 68;

  /// `paths`: false: BTF says nothing of dentries.
  explicit FakeFiles(bool paths = true) {
    Struct("list_head", 16, {{"next", 0}, {"prev", 8}});
    Struct("signal_struct", 32, {{"nr_threads", 0, 4}, {"thread_head", 16, 16, "list_head"}});
    Struct("task_struct", 128,
           {{"tasks", 0, 16, "list_head"},
            {"pid", 16, 4},
            {"tgid", 20, 4},
            {"comm", 24, 16},
            {"signal", 40},
            {"thread_node", 48, 16, "list_head"},
            {"exit_state", 64, 4},
            {"flags", kTaskFlags, 4},
            {"mm", kTaskMm},
            {"files", kTaskFiles},
            {"fs", kTaskFs},
            {"nsproxy", kTaskNsproxy}});
    Struct("path", 16, {{"mnt", 0}, {"dentry", 8}});
    Struct("qstr", 16, {{"hash", 0, 4}, {"len", 4, 4}, {"name", 8}});
    Struct("hlist_bl_node", 16, {{"next", 0}, {"pprev", 8}});
    Struct("hlist_head", 8, {{"first", 0}});
    Struct("dentry_union", 16, {{"d_alias", 0, 16}});
    Struct(paths ? "dentry" : "another", 128,
           {{"d_hash", 8, 16, "hlist_bl_node"},
            {"d_parent", 24},
            {"d_name", 32, 16, "qstr"},
            {"d_inode", 48},
            {"d_iname", 56, 32},
            {"d_op", 96},
            {"d_u", kDentryAlias, 16, "dentry_union"}});
    Struct("dentry_operations", 80, {{"d_dname", 72}});
    Struct("vfsmount", 24, {{"mnt_root", 0}, {"mnt_sb", 8}, {"mnt_flags", 16, 4}});
    Struct("rb_node", 24, {{"__rb_parent_color", 0}, {"rb_right", 8}, {"rb_left", 16}});
    Struct("mount", 128,
           {{"mnt_parent", 16},
            {"mnt_mountpoint", 24},
            {"mnt", kMnt, 24, "vfsmount"},
            {"mnt_devname", 56},
            {"mnt_list", 64, 16, "list_head"},
            {"mnt_id", 80, 4}});
    Struct("file_system_type", 16, {{"name", 0}});
    Struct("super_block", 64, {{"s_dev", 0, 4}, {"s_flags", 8}, {"s_type", 16}});
    Struct("inode", 64,
           {{"i_mode", 0, 2},
            {"i_ino", 8},
            {"i_sb", 16},
            {"i_private", 24},
            {"i_dentry", kInodeAliases, 8, "hlist_head"}});
    Struct("file", 128,
           {{"f_path", 16, 16, "path"},
            {"f_inode", 32},
            {"f_op", 40},
            {"f_flags", 48, 4},
            {"f_mode", 52, 4},
            {"f_pos", 56},
            {"private_data", 64}});
    Symbol("init_task", kInitTask);
    Task(kInitTask, 0, "swapper");
    Dentry(kRoot, kRoot, "/", 0);
    Mount(kRootMount, kRootMount, kRoot, kRoot, 1);
    Zero(kSuper, 64);
    memory.PutValue<uint32_t>(kSuper, 8 << 20 | 3);
  }

  /// A task alone in its process and in the list of them.
  void Task(uint64_t at, uint32_t pid, std::string_view comm) {
    Zero(at, 128);
    memory.PutValue<uint32_t>(at + 16, pid);
    memory.PutValue<uint32_t>(at + 20, pid);
    memory.Put(at + 24, comm);
    const uint64_t signal = at + 0x800;
    Word(at + 40, signal);
    Zero(signal, 32);
    Circle({signal + 16, at + 48});
    tasks_.push_back(at);
    Circle(tasks_);
  }
  void Circle(const std::vector<uint64_t>& nodes) {
    for (size_t i = 0; i < nodes.size(); ++i) {
      Word(nodes[i], nodes[(i + 1) % nodes.size()]);
      Word(nodes[i] + 8, nodes[(i + nodes.size() - 1) % nodes.size()]);
    }
  }
  /// A name of up to 31 bytes, within the dentry.
  void Dentry(uint64_t at, uint64_t parent, std::string_view name, uint64_t inode) {
    Zero(at, 128);
    Word(at + 16, at);  // hashed
    Word(at + 24, parent);
    memory.PutValue<uint32_t>(at + 36, static_cast<uint32_t>(name.size()));
    Word(at + 40, at + 56);
    Word(at + 48, inode);
    memory.Put(at + 56, name);
  }
  void Unhash(uint64_t dentry) { Word(dentry + 16, 0); }
  void Mount(uint64_t at, uint64_t parent, uint64_t mountpoint, uint64_t root, uint32_t id) {
    Zero(at, 128);
    Word(at + 16, parent);
    Word(at + 24, mountpoint);
    Word(at + kMnt, root);
    Word(at + kMnt + 8, kSuper);
    memory.PutValue<uint32_t>(at + 80, id);
  }
  void Inode(uint64_t at, uint16_t mode, uint64_t number) {
    Zero(at, 64);
    memory.PutValue<uint16_t>(at, mode);
    Word(at + 8, number);
    Word(at + 16, kSuper);
  }
  void File(uint64_t at, uint64_t mount, uint64_t dentry, uint64_t inode) {
    Zero(at, 128);
    Word(at + 16, mount + kMnt);
    Word(at + 24, dentry);
    Word(at + 32, inode);
  }
  /// What makes the name of a dentry, under a symbol.
  void NameMaker(uint64_t dentry, const std::string& symbol, uint64_t operations) {
    Zero(operations, 80);
    Word(operations + 72, operations + 0x1000);
    Symbol(symbol, operations + 0x1000);
    Word(dentry + 96, operations);
  }

 private:
  std::vector<uint64_t> tasks_;  ///< the list_head comes first in a task_struct
};

}  // namespace kcoredump::test
