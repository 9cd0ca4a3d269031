// SPDX-License-Identifier: MIT
#include "inspect/page/page_owner.h"

#include <algorithm>

#include "base/error.h"
#include "base/try.h"
#include "inspect/file/mounts.h"
#include "inspect/file/open_file.h"
#include "kcoredump/text.h"
#include "symbol/tree_walk.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxVmasOfTree = 1 << 16;

}  // namespace

Result<PageOwnerReader> PageOwnerReader::Create(const TaskSources& sources,
                                                ProcessTranslate translate, Findings& findings) {
  KCD_ASSIGN(PathReader paths, PathReader::Create(sources.kernel, sources.types, sources.symbol));
  PageOwnerReader reader(sources, std::move(translate), findings, std::move(paths));
  KCD_TRY(reader.FindFields());
  return reader;
}

Status PageOwnerReader::FindFields() {
  const TypeCatalog& types = sources_.types;
  KCD_ASSIGN(const Layout space, Layout::Of(types, "struct address_space"));
  KCD_ASSIGN(host_, space.Need("host"));
  file_vmas_ = space.Find("i_mmap");
  KCD_ASSIGN(const Layout inode, Layout::Of(types, "struct inode"));
  KCD_ASSIGN(first_alias_, inode.Need("i_dentry.first"));
  KCD_ASSIGN(inode_number_, inode.Need("i_ino"));
  KCD_ASSIGN(inode_super_, inode.Need("i_sb"));
  KCD_ASSIGN(const Layout super, Layout::Of(types, "struct super_block"));
  KCD_ASSIGN(super_device_, super.Need("s_dev"));
  KCD_ASSIGN(const Layout dentry, Layout::Of(types, "struct dentry"));
  alias_ = dentry.Find("d_u.d_alias");
  if (!alias_.known()) {
    KCD_ASSIGN(alias_, dentry.Need("d_alias"));
  }
  KCD_ASSIGN(const Layout anon, Layout::Of(types, "struct anon_vma"));
  KCD_ASSIGN(anon_vmas_, anon.Need("rb_root"));
  KCD_ASSIGN(const Layout chain, Layout::Of(types, "struct anon_vma_chain"));
  KCD_ASSIGN(chain_vma_, chain.Need("vma"));
  KCD_ASSIGN(chain_node_, chain.Need("rb"));
  KCD_ASSIGN(const Layout vma, Layout::Of(types, "struct vm_area_struct"));
  vma_bytes_ = vma.bytes();
  KCD_ASSIGN(vma_mm_, vma.Need("vm_mm"));
  KCD_ASSIGN(vma_start_, vma.Need("vm_start"));
  KCD_ASSIGN(vma_end_, vma.Need("vm_end"));
  KCD_ASSIGN(vma_offset_, vma.Need("vm_pgoff"));
  KCD_ASSIGN(vma_node_, vma.Need("shared.rb"));
  KCD_ASSIGN(const Layout mm, Layout::Of(types, "struct mm_struct"));
  KCD_ASSIGN(pgd_, mm.Need("pgd"));
  return {};
}

void PageOwnerReader::LoadOwners() {
  if (owners_loaded_) return;
  owners_loaded_ = true;
  // The first thread may be gone, and its memory with the others.
  const Status walked = VisitTasks(sources_, true, findings_, [&](const TaskHead& task) {
    if (task.mm == 0 || task.kernel_thread) return true;
    const auto pgd = sources_.kernel.ReadValue<uint64_t>(task.mm + pgd_.offset);
    if (pgd.ok()) owners_.try_emplace(task.mm, Owner{task.tgid, task.comm, pgd.value()});
    return true;
  });
  if (!walked.ok()) findings_.Lost("who has pages mapped is not known: " + walked.error().message);
}

std::optional<PageOwnerReader::Vma> PageOwnerReader::ReadVma(uint64_t address) {
  Record record;
  if (!record.Load(sources_.kernel, address, vma_bytes_).ok()) return std::nullopt;
  return Vma{.mm = record.Unsigned(vma_mm_),
             .start = record.Unsigned(vma_start_),
             .end = record.Unsigned(vma_end_),
             .page_offset = record.Unsigned(vma_offset_)};
}

/// A tree of vm_area_structs, or of the anon_vma_chains that lead to them.
const std::vector<PageOwnerReader::Vma>& PageOwnerReader::VmasOf(uint64_t root, bool anonymous) {
  const auto [entry, is_new] = vmas_.try_emplace(root);
  if (!is_new) return entry->second;
  std::vector<Vma>& vmas = entry->second;
  const ListOutcome walk = WalkTree(sources_.kernel, root, kMaxVmasOfTree,
                                    "the tree of who has a page mapped", [&](uint64_t node) {
                                      uint64_t address = node - vma_node_.offset;
                                      if (anonymous) {
                                        const auto vma = sources_.kernel.ReadValue<uint64_t>(
                                            node - chain_node_.offset + chain_vma_.offset);
                                        if (!vma.ok()) return true;
                                        address = vma.value();
                                      }
                                      if (const auto vma = ReadVma(address)) vmas.push_back(*vma);
                                      return true;
                                    });
  if (walk.lost) findings_.Lost(walk.note);
  return vmas;
}

/// A page of a private mapping may have been copied since: page tables have the last word.
std::vector<PageMapper> PageOwnerReader::Mappers(const std::vector<Vma>& vmas, uint64_t index,
                                                 uint64_t physical) {
  LoadOwners();
  std::vector<PageMapper> mappers;
  for (const Vma& vma : vmas) {
    const uint64_t address = vma.start + (index - vma.page_offset) * sources_.page_bytes;
    const auto owner = owners_.find(vma.mm);
    if (owner == owners_.end() || address < vma.start || address >= vma.end) continue;
    if (translate_(owner->second.pgd, address) != physical) continue;
    if (mappers.size() == kMaxPageMappers) {
      findings_.Add("only the first " + std::to_string(kMaxPageMappers) +
                    " processes that have the page mapped are listed");
      break;
    }
    mappers.push_back({.pid = owner->second.pid, .comm = owner->second.comm, .address = address});
  }
  return mappers;
}

std::vector<PageMapper> PageOwnerReader::AnonymousMappers(uint64_t anon_vma, uint64_t index,
                                                          uint64_t physical) {
  return Mappers(VmasOf(anon_vma + anon_vmas_.offset, true), index, physical);
}

std::vector<PageMapper> PageOwnerReader::FileMappers(uint64_t address_space, uint64_t index,
                                                     uint64_t physical) {
  if (!file_vmas_.known()) return {};
  return Mappers(VmasOf(address_space + file_vmas_.offset, false), index, physical);
}

void PageOwnerReader::LoadMounts() {
  if (mounts_loaded_) return;
  mounts_loaded_ = true;
  auto list = WalkMounts(sources_, 1);
  if (list.ok()) {
    mounts_ = std::move(list.value().mounts);
  } else {
    findings_.Add("paths begin at the root of their file systems: " + list.error().message);
  }
}

/// As init sees it, where one of its mounts shows the file.
std::string PageOwnerReader::WithMount(const PageFile& file, const std::string& path) {
  LoadMounts();
  for (const MountInfo& mount : mounts_) {
    if (!mount.visible || mount.device_major != file.device_major ||
        mount.device_minor != file.device_minor) {
      continue;
    }
    const std::string root = mount.root == "/" ? "" : mount.root;
    if (!path.starts_with(root) || (path.size() > root.size() && path[root.size()] != '/'))
      continue;
    const std::string place = mount.mount_point == "/" ? "" : mount.mount_point;
    return place + path.substr(root.size());
  }
  return path;
}

Result<PageFile> PageOwnerReader::FileAt(uint64_t address_space, uint64_t index) {
  const auto read = [&]() -> Result<PageFile> {
    PageFile file;
    KCD_ASSIGN(const auto inode, sources_.kernel.ReadValue<uint64_t>(address_space + host_.offset));
    if (inode == 0) return MakeError(ErrorCode::kNotFound, "the mapping belongs to no file");
    const auto number = sources_.kernel.ReadValue<uint64_t>(inode + inode_number_.offset);
    if (number.ok()) file.inode = number.value();
    KCD_ASSIGN(const auto super, sources_.kernel.ReadValue<uint64_t>(inode + inode_super_.offset));
    KCD_ASSIGN(const auto device,
               sources_.kernel.ReadValue<uint32_t>(super + super_device_.offset));
    file.device_major = DeviceOf(device).major;
    file.device_minor = DeviceOf(device).minor;
    KCD_ASSIGN(const auto alias, sources_.kernel.ReadValue<uint64_t>(inode + first_alias_.offset));
    if (alias == 0) return file;  // a file system's own inode, or a name that was forgotten
    KCD_ASSIGN(const FilePath path, paths_.PathWithin(alias - alias_.offset));
    file.path = WithMount(file, path.text);
    file.deleted = path.deleted;
    return file;
  };
  auto known = files_.find(address_space);
  if (known == files_.end()) known = files_.emplace(address_space, read()).first;
  auto file = known->second;
  if (file.ok()) file.value().offset = index * sources_.page_bytes;
  return file;
}

}  // namespace kcoredump
