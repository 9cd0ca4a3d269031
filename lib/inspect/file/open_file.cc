// SPDX-License-Identifier: MIT
#include "inspect/file/open_file.h"

#include <algorithm>

#include "base/error.h"
#include "base/try.h"

namespace kcoredump {

namespace {

/// Kernel: include/linux/fs.h, FMODE_BACKING: a file of a stacked file system, behind whose struct
/// file the path stands that the user knows (6.7, def3ae83da02). The bit was 25 and is 24 since
/// 6.14, where 25 means something else, so the path must prove it.
constexpr uint64_t kBackingModes = 3 << 24;

constexpr unsigned kMinorBits = 20;

}  // namespace

DeviceNumber DeviceOf(uint64_t dev) {
  return {.major = static_cast<uint32_t>(dev) >> kMinorBits,
          .minor = static_cast<uint32_t>(dev) & ((1U << kMinorBits) - 1)};
}

Result<OpenFileReader> OpenFileReader::Create(const TaskSources& sources) {
  KCD_ASSIGN(Layout file, Layout::Of(sources.types, "struct file"));
  KCD_ASSIGN(PathReader paths, PathReader::Create(sources.kernel, sources.types, sources.symbol));
  OpenFileReader reader(sources, std::move(file), std::move(paths));
  KCD_TRY(reader.FindFields());
  return reader;
}

Status OpenFileReader::FindFields() {
  KCD_ASSIGN(path_, file_layout_.Need("f_path"));
  KCD_ASSIGN(inode_, file_layout_.Need("f_inode"));
  flags_ = file_layout_.Find("f_flags");
  mode_ = file_layout_.Find("f_mode");
  position_ = file_layout_.Find("f_pos");
  private_data_ = file_layout_.Find("private_data");
  operations_ = file_layout_.Find("f_op");
  KCD_ASSIGN(const Layout path, Layout::Of(sources_.types, "struct path"));
  KCD_ASSIGN(path_mount_, path.Need("mnt"));
  KCD_ASSIGN(path_dentry_, path.Need("dentry"));
  KCD_ASSIGN(const Layout inode, Layout::Of(sources_.types, "struct inode"));
  KCD_ASSIGN(inode_number_, inode.Need("i_ino"));
  KCD_ASSIGN(inode_mode_, inode.Need("i_mode"));
  KCD_ASSIGN(inode_super_, inode.Need("i_sb"));
  KCD_ASSIGN(const Layout super, Layout::Of(sources_.types, "struct super_block"));
  KCD_ASSIGN(super_device_, super.Need("s_dev"));
  for (const Field& field : {inode_number_, inode_mode_, inode_super_}) {
    inode_bytes_ = std::max(inode_bytes_, field.offset + field.bytes);
  }
  const auto backing = Layout::Of(sources_.types, "struct backing_file");
  if (backing.ok()) user_path_ = backing.value().Find("user_path");
  return {};
}

void OpenFileReader::ReadInode(OpenFileWords& file) {
  Record record;
  if (file.inode == 0 || !record.Load(sources_.kernel, file.inode, inode_bytes_).ok()) return;
  file.inode_number = record.Unsigned(inode_number_);
  file.mode = static_cast<uint32_t>(record.Unsigned(inode_mode_));
  const auto device =
      sources_.kernel.ReadValue<uint32_t>(record.Unsigned(inode_super_) + super_device_.offset);
  if (device.ok()) file.device = DeviceOf(device.value());
}

/// kNotFound: it has none.
Result<FilePath> OpenFileReader::UserPath(const Record& file) {
  if (!user_path_.known() || (file.Unsigned(mode_) & kBackingModes) == 0) {
    return MakeError(ErrorCode::kNotFound, "no file of a stacked file system");
  }
  const uint64_t path = file.address() + user_path_.offset;
  KCD_ASSIGN(const auto mount, sources_.kernel.ReadValue<uint64_t>(path + path_mount_.offset));
  KCD_ASSIGN(const auto dentry, sources_.kernel.ReadValue<uint64_t>(path + path_dentry_.offset));
  return paths_.PathOf(mount, dentry);
}

Result<const OpenFileWords*> OpenFileReader::At(uint64_t file) {
  if (const auto known = known_.find(file); known != known_.end()) {
    KCD_TRY(paths_.Spend(known->second.path.text.size()));
    return &known->second;
  }
  Record record;
  KCD_TRY(record.Load(sources_.kernel, file, file_layout_.bytes()));
  OpenFileWords words;
  words.address = file;
  words.flags = record.Unsigned(flags_);
  words.position = record.Unsigned(position_);
  words.private_data = record.Unsigned(private_data_);
  words.operations = record.Unsigned(operations_);
  words.inode = record.Unsigned(inode_);
  auto path = UserPath(record);
  if (!path.ok()) {
    path = paths_.PathOf(record.Unsigned(Field{path_.offset + path_mount_.offset, 8}),
                         record.Unsigned(Field{path_.offset + path_dentry_.offset, 8}));
  }
  if (path.ok()) {
    words.path = std::move(path.value());
  } else {
    words.trouble = path.error().message;
  }
  ReadInode(words);
  return &known_.emplace(file, std::move(words)).first->second;
}

}  // namespace kcoredump
