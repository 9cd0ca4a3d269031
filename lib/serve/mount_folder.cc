// SPDX-License-Identifier: MIT
#include "serve/mount_folder.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <limits>
#include <variant>

#include "base/error.h"
#include "base/try.h"
#include "capture/system_notes.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxNotesTold = 1000;

/// The inodes of a process's folder and files: kProcessBase + pid * kProcessInodes, and then these.
constexpr uint64_t kProcessBase = uint64_t{1} << 32;
constexpr uint64_t kProcessInodes = 8;
constexpr std::string_view kProcessFiles[] = {"", "comm", "cmdline", "maps", "mem"};
constexpr uint64_t kProcessMemory = 4;

struct ProcessInode {
  uint32_t pid = 0;
  uint64_t file = 0;  ///< an index into kProcessFiles; 0: the folder
};

std::optional<ProcessInode> AsProcess(uint64_t inode) {
  const uint64_t offset = inode - kProcessBase;
  if (inode < kProcessBase || offset / kProcessInodes > UINT32_MAX) return std::nullopt;
  if (offset % kProcessInodes >= std::size(kProcessFiles)) return std::nullopt;
  return ProcessInode{.pid = static_cast<uint32_t>(offset / kProcessInodes),
                      .file = offset % kProcessInodes};
}

uint64_t InodeOf(uint32_t pid, uint64_t file) {
  return kProcessBase + uint64_t{pid} * kProcessInodes + file;
}

/// Decimal, as the kernel writes it; nothing: no pid.
std::optional<uint32_t> ParsePid(std::string_view name) {
  uint32_t pid = 0;
  const char* const end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data(), end, pid);
  if (name.empty() || name.front() == '0' || error != std::errc() || stop != end) {
    return std::nullopt;
  }
  return pid;
}

Error NoSuchFile() { return MakeError(ErrorCode::kNotFound, "no such file"); }

/// Everything but the processes.
struct FixedEntry {
  uint64_t inode = 0;
  uint64_t folder = 0;
  std::string_view name;
  std::variant<std::monostate, MountImageKind, MountTextKind> content;  ///< the first: a folder

  [[nodiscard]] bool is_folder() const { return content.index() == 0; }
};
constexpr uint64_t kBtfInode = 7;
constexpr uint64_t kProcInode = 11;
constexpr FixedEntry kFixedEntries[] = {
    {kRootInode, 0, "", {}},
    {2, kRootInode, "vmcore", MountImageKind::kElf},
    {3, kRootInode, "vmcore.kdump", MountImageKind::kKdump},
    {4, kRootInode, "memory.raw", MountImageKind::kRaw},
    {5, kRootInode, "memory.lime", MountImageKind::kLime},
    {6, kRootInode, "kallsyms", MountTextKind::kKallsyms},
    {kBtfInode, kRootInode, "btf", {}},
    {8, kBtfInode, "vmlinux", MountTextKind::kBtf},
    {9, kRootInode, "dmesg", MountTextKind::kLog},
    {10, kRootInode, "info.json", MountTextKind::kInfo},
    {kProcInode, kRootInode, "proc", {}},
};

/// nullptr: not one of these.
const FixedEntry* FindFixed(uint64_t inode) {
  const auto found = std::find_if(std::begin(kFixedEntries), std::end(kFixedEntries),
                                  [&](const FixedEntry& entry) { return entry.inode == inode; });
  return found == std::end(kFixedEntries) ? nullptr : found;
}

class ImageFile : public FolderFile {
 public:
  ImageFile(const VirtualImage* image, MountMemory* memory) : image_(image), memory_(memory) {}
  std::optional<uint64_t> bytes() const override { return image_->bytes(); }
  Result<size_t> Read(uint64_t offset, std::span<std::byte> out) override {
    return ReadImage(*image_, *memory_, offset, out);
  }
  uint64_t Next(uint64_t offset, bool data) const override {
    while (offset < image_->bytes()) {
      const ImagePiece piece = image_->At(offset);
      if ((piece.kind != ImagePiece::Kind::kZeros) == data) break;
      offset += piece.bytes;
    }
    return offset;
  }

 private:
  const VirtualImage* image_;
  MountMemory* memory_;
};

class TextFile : public FolderFile {
 public:
  explicit TextFile(MountText text) : text_(std::move(text)) {}
  std::optional<uint64_t> bytes() const override { return text_->size(); }
  Result<size_t> Read(uint64_t offset, std::span<std::byte> out) override {
    if (offset >= text_->size()) return size_t{0};
    const size_t count = std::min<uint64_t>(out.size(), text_->size() - offset);
    std::memcpy(out.data(), text_->data() + offset, count);
    return count;
  }

 private:
  MountText text_;
};

class ProcessMemoryFile : public FolderFile {
 public:
  ProcessMemoryFile(MountTexts* texts, uint32_t pid) : texts_(texts), pid_(pid) {}
  Result<size_t> Read(uint64_t offset, std::span<std::byte> out) override {
    return texts_->ReadProcess(pid_, offset, out);
  }

 private:
  MountTexts* texts_;
  uint32_t pid_;
};

}  // namespace

MountFolder::MountFolder(Kernel kernel, const std::string& path, std::vector<std::string> arguments,
                         std::function<void(const std::string&)> note)
    : tell_(std::move(note)),
      texts_(std::move(kernel), path, [this](const std::string& text) { TellNote(text); }),
      source_(&texts_.kernel().session().source()),
      arguments_(std::move(arguments)),
      memory_(*source_, kDefaultCacheBytes),
      started_utc_ns_(static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                                std::chrono::system_clock::now().time_since_epoch())
                                                .count())) {}

Result<std::unique_ptr<MountFolder>> MountFolder::Open(
    const std::string& path, std::vector<std::string> arguments,
    std::function<void(const std::string&)> note) {
  KCD_ASSIGN(Kernel kernel, Kernel::Open(path));
  std::unique_ptr<MountFolder> folder(
      new MountFolder(std::move(kernel), path, std::move(arguments), std::move(note)));
  for (const std::string& caveat : folder->texts_.kernel().Caveats()) folder->TellNote(caveat);
  // Once it is mounted, the path may lead to something else.
  if (!folder->live()) KCD_TRY(folder->texts_.Get(MountTextKind::kInfo));
  return folder;
}

void MountFolder::TellNote(const std::string& note) {
  const std::lock_guard lock(notes_mutex_);
  if (notes_told_.size() >= kMaxNotesTold || !notes_told_.insert(note).second) return;
  if (tell_) tell_(note);
}

Result<uint64_t> MountFolder::Lookup(uint64_t folder, std::string_view name) {
  for (const FixedEntry& entry : kFixedEntries) {
    if (entry.folder == folder && entry.name == name) return entry.inode;
  }
  if (folder == kProcInode) {
    const auto pid = ParsePid(name);
    if (pid && texts_.HasPid(*pid)) return InodeOf(*pid, 0);
  }
  const auto process = AsProcess(folder);
  if (process && process->file == 0 && texts_.HasPid(process->pid)) {
    const auto file = std::find(std::begin(kProcessFiles) + 1, std::end(kProcessFiles), name);
    if (file != std::end(kProcessFiles)) return folder + (file - std::begin(kProcessFiles));
  }
  return NoSuchFile();
}

Result<FileFacts> MountFolder::Facts(uint64_t inode) {
  if (const auto process = AsProcess(inode)) {
    if (!texts_.HasPid(process->pid)) return NoSuchFile();
    return FileFacts{.is_folder = process->file == 0, .unchanging = false};
  }
  const FixedEntry* entry = FindFixed(inode);
  if (entry == nullptr) return NoSuchFile();
  // What cannot be made is an error when it is opened.
  if (const auto* kind = std::get_if<MountImageKind>(&entry->content)) {
    const auto image = Image(*kind);
    return FileFacts{.bytes = image.ok() ? image.value()->bytes() : 0,
                     .data_bytes = image.ok() ? image.value()->data_bytes() : 0,
                     .unchanging = !live()};
  }
  if (const auto* kind = std::get_if<MountTextKind>(&entry->content)) {
    if (!texts_.IsKept(*kind)) return FileFacts{.unchanging = false};
    const auto text = texts_.Get(*kind);
    const uint64_t bytes = text.ok() ? text.value()->size() : 0;
    return FileFacts{.bytes = bytes, .data_bytes = bytes};
  }
  return FileFacts{.is_folder = true};
}

Result<std::vector<FolderEntry>> MountFolder::List(uint64_t folder) {
  std::vector<FolderEntry> entries;
  if (const auto process = AsProcess(folder)) {
    if (process->file != 0 || !texts_.HasPid(process->pid)) return NoSuchFile();
    for (uint64_t file = 1; file < std::size(kProcessFiles); ++file) {
      entries.push_back({.name = std::string(kProcessFiles[file]), .inode = folder + file});
    }
    return entries;
  }
  for (const FixedEntry& entry : kFixedEntries) {
    if (entry.folder != folder) continue;
    entries.push_back(
        {.name = std::string(entry.name), .inode = entry.inode, .is_folder = entry.is_folder()});
  }
  if (folder == kProcInode) {
    KCD_ASSIGN(const std::vector<uint32_t> pids, texts_.Pids());
    for (const uint32_t pid : pids) {
      entries.push_back({.name = std::to_string(pid), .inode = InodeOf(pid, 0), .is_folder = true});
    }
  }
  return entries;
}

Result<std::shared_ptr<FolderFile>> MountFolder::OpenProcessFile(uint32_t pid, uint64_t file) {
  if (file == kProcessMemory) {
    return std::shared_ptr<FolderFile>(std::make_shared<ProcessMemoryFile>(&texts_, pid));
  }
  KCD_ASSIGN(MountText text, texts_.OfProcess(pid, static_cast<ProcessTextKind>(file - 1)));
  return std::shared_ptr<FolderFile>(std::make_shared<TextFile>(std::move(text)));
}

Result<std::shared_ptr<FolderFile>> MountFolder::OpenFile(uint64_t inode) {
  if (const auto process = AsProcess(inode)) {
    if (process->file != 0 && texts_.HasPid(process->pid)) {
      return OpenProcessFile(process->pid, process->file);
    }
  } else if (const FixedEntry* entry = FindFixed(inode)) {
    if (const auto* kind = std::get_if<MountImageKind>(&entry->content)) {
      KCD_ASSIGN(const VirtualImage* image, Image(*kind));
      return std::shared_ptr<FolderFile>(std::make_shared<ImageFile>(image, &memory_));
    }
    if (const auto* kind = std::get_if<MountTextKind>(&entry->content)) {
      KCD_ASSIGN(MountText text, texts_.Get(*kind));
      return std::shared_ptr<FolderFile>(std::make_shared<TextFile>(std::move(text)));
    }
  }
  return NoSuchFile();
}

/// The layout of a live kernel's images is that of the first look: only so is a file one and the
/// same for everybody who has it open.
Result<const VirtualImage*> MountFolder::Image(MountImageKind kind) {
  const std::lock_guard lock(images_mutex_);
  const auto make = [&] { return MakeImage(kind); };
  KCD_ASSIGN(const auto* image, images_[static_cast<size_t>(kind)].Get(make));
  // Forged headers may put memory anywhere.
  if ((*image)->bytes() > static_cast<uint64_t>(std::numeric_limits<off_t>::max())) {
    return MakeError(ErrorCode::kLimitExceeded, "an image larger than a file can be");
  }
  return static_cast<const VirtualImage*>(image->get());
}

Result<std::unique_ptr<VirtualImage>> MountFolder::MakeImage(MountImageKind kind) {
  KCD_ASSIGN(const HeldPages* held, held_.Get([&] { return HeldPages::Of(*source_); }));
  switch (kind) {
    case MountImageKind::kElf: {
      CaptureOptions options;
      options.source = source_->path();
      options.arguments = arguments_;
      SystemNotes notes = CollectSystemNotes(*source_, options);
      for (const std::string& warning : notes.warnings) TellNote("vmcore: " + warning);
      return MakeElfImage(*source_, *held, std::move(notes.bytes));
    }
    case MountImageKind::kKdump:
      return MakeKdumpImage(*source_, *held, started_utc_ns_);
    case MountImageKind::kRaw:
      return MakeRawImage(*source_, *held);
    case MountImageKind::kLime:
      return MakeLimeImage(*held);
  }
  return NoSuchFile();
}

}  // namespace kcoredump
