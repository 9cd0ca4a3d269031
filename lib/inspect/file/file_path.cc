// SPDX-License-Identifier: MIT
//
// The steps are those of the kernel's fs/d_path.c: d_path, prepend_path.
#include "inspect/file/file_path.h"

#include <algorithm>

#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// NAME_MAX is 255; names that the kernel itself makes may be longer.
constexpr uint64_t kMaxDentryNameBytes = 4096;
constexpr size_t kMaxShortText = 64;

std::string JoinedNames(const std::vector<const std::string*>& names) {
  std::string text;
  for (auto name = names.rbegin(); name != names.rend(); ++name) text += "/" + **name;
  return text.empty() ? "/" : text;
}

}  // namespace

std::string ProcText(const FilePath& path) {
  return path.deleted ? path.text + " (deleted)" : path.text;
}

Result<PathReader> PathReader::Create(MemoryView& memory, const TypeCatalog& types,
                                      const SymbolLookup& symbol) {
  KCD_ASSIGN(Layout dentry, Layout::Of(types, "struct dentry"));
  KCD_ASSIGN(Layout mount, Layout::Of(types, "struct mount"));
  PathReader reader(memory, std::move(dentry), std::move(mount));
  KCD_TRY(reader.FindFields(types));
  for (const auto& [name, made] :
       {std::pair("sockfs_dname", Made::kSocket), std::pair("pipefs_dname", Made::kPipe),
        std::pair("anon_inodefs_dname", Made::kAnonymous), std::pair("ns_dname", Made::kNamespace),
        std::pair("pidfs_dname", Made::kPidfd), std::pair("simple_dname", Made::kSimple)}) {
    if (const auto address = symbol(name)) reader.makers_.emplace(*address, made);
  }
  return reader;
}

Status PathReader::FindFields(const TypeCatalog& types) {
  KCD_ASSIGN(parent_, dentry_layout_.Need("d_parent"));
  KCD_ASSIGN(name_, dentry_layout_.Need("d_name.name"));
  KCD_ASSIGN(name_bytes_, dentry_layout_.Need("d_name.len"));
  KCD_ASSIGN(inode_, dentry_layout_.Need("d_inode"));
  KCD_ASSIGN(hash_, dentry_layout_.Need("d_hash.pprev"));
  KCD_ASSIGN(operations_, dentry_layout_.Need("d_op"));
  KCD_ASSIGN(mnt_, mount_layout_.Need("mnt"));
  KCD_ASSIGN(mnt_root_, mount_layout_.Need("mnt.mnt_root"));
  KCD_ASSIGN(mnt_parent_, mount_layout_.Need("mnt_parent"));
  KCD_ASSIGN(mnt_mountpoint_, mount_layout_.Need("mnt_mountpoint"));
  const auto find = [&](const char* type, const char* member) {
    const auto layout = Layout::Of(types, type);
    return layout.ok() ? layout.value().Find(member) : Field{};
  };
  name_maker_ = find("struct dentry_operations", "d_dname");
  inode_number_ = find("struct inode", "i_ino");
  inode_private_ = find("struct inode", "i_private");
  ns_operations_ = find("struct ns_common", "ops");
  ns_operations_name_ = find("struct proc_ns_operations", "name");
  return {};
}

/// Short names stand within the dentry itself.
Result<std::string> PathReader::NameOf(const Record& record) {
  const uint64_t at = record.Unsigned(name_);
  const uint64_t bytes = record.Unsigned(name_bytes_);
  if (bytes > kMaxDentryNameBytes) {
    return Corrupt("the dentry at " + HexAddress(record.address()) + " has a name of " +
                   Grouped(bytes) + " bytes");
  }
  std::string name(bytes, '\0');
  const uint64_t offset = at - record.address();
  if (offset < record.bytes().size() && bytes <= record.bytes().size() - offset) {
    const auto inside = record.bytes().subspan(offset, bytes);
    std::transform(inside.begin(), inside.end(), name.begin(),
                   [](std::byte byte) { return static_cast<char>(byte); });
  } else {
    KCD_TRY(memory_.Read(at, std::as_writable_bytes(std::span(name))));
  }
  name.resize(std::min(name.find('\0'), name.size()));
  return name;
}

Status PathReader::Spend(size_t text_bytes) {
  const size_t cost = kPathStepCost + text_bytes;
  if (cost > costs_left_) {
    return MakeError(ErrorCode::kLimitExceeded,
                     "the paths before it are as much as one answer may have");
  }
  costs_left_ -= cost;
  return {};
}

Result<const PathReader::Dentry*> PathReader::DentryAt(uint64_t address) {
  if (const auto known = dentries_.find(address); known != dentries_.end()) return &known->second;
  Record record;
  KCD_TRY(record.Load(memory_, address, dentry_layout_.bytes()));
  Dentry dentry{.parent = record.Unsigned(parent_),
                .inode = record.Unsigned(inode_),
                .unhashed = record.Unsigned(hash_) == 0,
                .name = {}};
  KCD_ASSIGN(dentry.name, NameOf(record));
  const uint64_t operations = record.Unsigned(operations_);
  if (operations != 0 && name_maker_.known()) {
    const auto [maker, is_new] = maker_of_operations_.try_emplace(operations, 0);
    if (is_new) {
      KCD_ASSIGN(maker->second, memory_.ReadValue<uint64_t>(operations + name_maker_.offset));
    }
    dentry.name_maker = maker->second;
  }
  return &dentries_.emplace(address, std::move(dentry)).first->second;
}

Result<const PathReader::Mount*> PathReader::MountAt(uint64_t mnt) {
  if (const auto known = mounts_.find(mnt); known != mounts_.end()) return &known->second;
  Record record;
  KCD_TRY(record.Load(memory_, mnt - mnt_.offset, mount_layout_.bytes()));
  return &mounts_
              .emplace(mnt, Mount{.root = record.Unsigned(mnt_root_),
                                  .parent = record.Unsigned(mnt_parent_) + mnt_.offset,
                                  .parent_dentry = record.Unsigned(mnt_mountpoint_)})
              .first->second;
}

std::string PathReader::NumberText(const char* kind, uint64_t inode) {
  const auto number = inode_number_.known()
                          ? memory_.ReadValue<uint64_t>(inode + inode_number_.offset)
                          : Result<uint64_t>(uint64_t{0});
  return std::string(kind) + ":[" + (number.ok() ? std::to_string(number.value()) : "?") + "]";
}

std::string PathReader::NamespaceText(uint64_t inode) {
  std::string kind = "?";
  if (inode_private_.known() && ns_operations_.known() && ns_operations_name_.known()) {
    const auto ns = memory_.ReadValue<uint64_t>(inode + inode_private_.offset);
    const auto operations = ns.ok()
                                ? memory_.ReadValue<uint64_t>(ns.value() + ns_operations_.offset)
                                : Result<uint64_t>(ns.error());
    const auto name =
        operations.ok()
            ? memory_.ReadValue<uint64_t>(operations.value() + ns_operations_name_.offset)
            : Result<uint64_t>(operations.error());
    auto text = name.ok() ? memory_.ReadString(name.value(), kMaxShortText)
                          : Result<std::string>(name.error());
    if (text.ok()) kind = std::move(text.value());
  }
  return NumberText(kind.c_str(), inode);
}

Result<FilePath> PathReader::MadeName(const Dentry& dentry) {
  const auto made = makers_.find(dentry.name_maker);
  switch (made != makers_.end() ? made->second : Made::kSimple) {
    case Made::kSocket:
      return FilePath{NumberText("socket", dentry.inode)};
    case Made::kPipe:
      return FilePath{NumberText("pipe", dentry.inode)};
    case Made::kAnonymous:
      return FilePath{"anon_inode:" + dentry.name};
    case Made::kNamespace:
      return FilePath{NamespaceText(dentry.inode)};
    case Made::kPidfd:
      return FilePath{"anon_inode:[pidfd]"};
    case Made::kSimple:
      break;
  }
  return FilePath{"/" + dentry.name, made != makers_.end()};
}

Result<FilePath> PathReader::PathOf(uint64_t mnt, uint64_t dentry) {
  KCD_ASSIGN(const Dentry* file, DentryAt(dentry));
  KCD_ASSIGN(const Mount* mount, MountAt(mnt));
  if (file->name_maker != 0 && (file->parent != dentry || dentry != mount->root)) {
    KCD_TRY(Spend(file->name.size()));
    return MadeName(*file);
  }
  std::vector<const std::string*> names;
  size_t bytes = 0;
  Place place{mnt, dentry};
  for (size_t step = 0; step < kMaxPathSteps && bytes < kMaxPathBytes; ++step) {
    const std::string* name = nullptr;
    KCD_ASSIGN(const auto above, Up(place, &name));
    if (!above) return FilePath{JoinedNames(names), file->unhashed && file->parent != dentry};
    if (name != nullptr) {
      names.push_back(name);
      bytes += name->size() + 1;
    }
    place = *above;
  }
  return Corrupt("a path of more than 4096 bytes or directories");
}

Result<std::optional<PathReader::Place>> PathReader::Up(const Place& place,
                                                        const std::string** name) {
  KCD_ASSIGN(const Mount* mount, MountAt(place.mnt));
  if (place.dentry == mount->root) {
    KCD_TRY(Spend(0));
    if (mount->parent == place.mnt) return std::optional<Place>();
    return std::optional(Place{mount->parent, mount->parent_dentry});
  }
  KCD_ASSIGN(const Dentry* here, DentryAt(place.dentry));
  KCD_TRY(Spend(here->name.size()));
  // Outside of its mount: what was mounted has been moved away.
  if (here->parent == place.dentry) return std::optional<Place>();
  *name = &here->name;
  return std::optional(Place{place.mnt, here->parent});
}

Result<bool> PathReader::IsBelow(uint64_t mnt, uint64_t dentry, uint64_t root_mnt, uint64_t root) {
  Place place{mnt, dentry};
  for (size_t step = 0; step < kMaxPathSteps; ++step) {
    if (place.mnt == root_mnt && place.dentry == root) return true;
    const std::string* name = nullptr;
    KCD_ASSIGN(const auto above, Up(place, &name));
    if (!above) return false;
    place = *above;
  }
  return Corrupt("a path of more than 4096 directories");
}

Result<FilePath> PathReader::PathWithin(uint64_t dentry) {
  KCD_ASSIGN(const Dentry* file, DentryAt(dentry));
  std::vector<const std::string*> names;
  size_t bytes = 0;
  for (uint64_t at = dentry; names.size() < kMaxPathSteps && bytes < kMaxPathBytes;) {
    KCD_ASSIGN(const Dentry* here, DentryAt(at));
    KCD_TRY(Spend(here->name.size()));
    if (here->parent == at) return FilePath{JoinedNames(names), file->unhashed && at != dentry};
    names.push_back(&here->name);
    bytes += here->name.size() + 1;
    at = here->parent;
  }
  return Corrupt("a path of more than 4096 bytes or directories");
}

}  // namespace kcoredump
