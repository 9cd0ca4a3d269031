// SPDX-License-Identifier: MIT
//
// What /proc/PID/fd and fdinfo tell (kernel: fs/proc/fd.c), and cwd, root and exe.
#include "inspect/file/files.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/try.h"
#include "inspect/ask_again.h"
#include "inspect/value/object_bytes.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

// Kernel: include/uapi/asm-generic/fcntl.h, as x86 and ARM have them.
constexpr uint32_t kAccessMode = 3;
constexpr uint32_t kWriteOnly = 1;
constexpr uint32_t kReadWrite = 2;
constexpr uint32_t kPathOnly = 010000000;
constexpr uint32_t kCloseOnExec = 02000000;

std::string TypeOf(const OpenFileWords& words) {
  if (words.path.text.starts_with("anon_inode:")) return "anonymous";
  switch (words.mode & S_IFMT) {
    case S_IFREG:
      return "regular";
    case S_IFDIR:
      return "directory";
    case S_IFCHR:
      return "character";
    case S_IFBLK:
      return "block";
    case S_IFIFO:
      return "fifo";
    case S_IFSOCK:
      return "socket";
    case S_IFLNK:
      return "link";
    default:
      return words.mode == 0 ? "" : "anonymous";
  }
}

class FilesReader {
 public:
  FilesReader(const TaskSources& sources, OpenFileList& out, OpenFileReader reader)
      : sources_(sources), out_(out), reader_(std::move(reader)) {}

  void AddDirectory(const char* role, uint64_t fs);
  void AddProgram(uint64_t mm);
  void AddDescriptors(uint64_t files);

 private:
  void Add(OpenFile file, uint64_t address, const std::string& what);
  [[nodiscard]] Field FindIn(const char* type, const char* member) const;

  const TaskSources& sources_;
  OpenFileList& out_;
  OpenFileReader reader_;
};

Field FilesReader::FindIn(const char* type, const char* member) const {
  const auto layout = Layout::Of(sources_.types, type);
  if (!layout.ok()) {
    out_.findings.Add(layout.error().message);
    return {};
  }
  return layout.value().Find(member, "it is not listed", out_.findings.notes);
}

void FilesReader::AddDirectory(const char* role, uint64_t fs) {
  const Field path = FindIn("struct fs_struct", std::string_view(role) == "cwd" ? "pwd" : "root");
  if (fs == 0 || !path.known()) return;
  const auto mount =
      sources_.kernel.ReadValue<uint64_t>(fs + path.offset + reader_.path_mount().offset);
  const auto dentry =
      sources_.kernel.ReadValue<uint64_t>(fs + path.offset + reader_.path_dentry().offset);
  auto text = mount.ok() && dentry.ok()
                  ? reader_.paths().PathOf(mount.value(), dentry.value())
                  : Result<FilePath>(mount.ok() ? dentry.error() : mount.error());
  OpenFile file;
  file.role = role;
  file.type = "directory";
  if (text.ok()) {
    file.path = std::move(text.value().text);
    file.deleted = text.value().deleted;
  } else {
    out_.findings.Lost(std::string(role) + " cannot be had: " + text.error().message);
  }
  out_.files.push_back(std::move(file));
}

void FilesReader::AddProgram(uint64_t mm) {
  const Field program = FindIn("struct mm_struct", "exe_file");
  if (mm == 0 || !program.known()) return;
  const auto address = sources_.kernel.ReadValue<uint64_t>(mm + program.offset);
  OpenFile file;
  file.role = "exe";
  if (!address.ok()) out_.findings.Lost("exe cannot be had: " + address.error().message);
  if (address.ok() && address.value() != 0) Add(std::move(file), address.value(), "exe");
}

void FilesReader::Add(OpenFile file, uint64_t address, const std::string& what) {
  file.address = address;
  const auto read = reader_.At(address);
  if (!read.ok()) {
    out_.findings.Lost(what + " cannot be read: " + read.error().message);
    out_.files.push_back(std::move(file));
    return;
  }
  const OpenFileWords& words = *read.value();
  if (!words.trouble.empty()) {
    out_.findings.Lost("the path of " + what + " cannot be had: " + words.trouble);
  }
  file.type = TypeOf(words);
  file.path = words.path.text;
  file.deleted = words.path.deleted;
  file.flags |= static_cast<uint32_t>(words.flags);
  const uint32_t access = file.flags & kAccessMode;
  file.readable = access != kWriteOnly && (file.flags & kPathOnly) == 0;
  file.writable = access == kWriteOnly || access == kReadWrite;
  file.position = words.position;
  file.device_major = words.device.major;
  file.device_minor = words.device.minor;
  file.inode = words.inode_number;
  out_.files.push_back(std::move(file));
}

void FilesReader::AddDescriptors(uint64_t files) {
  auto table = DescriptorTable::Create(sources_);
  if (!table.ok()) {
    out_.findings.Lost(table.error().message + ": file descriptors are not known");
    return;
  }
  for (const DescriptorTable::Entry& entry : table.value().Entries(files, out_.findings)) {
    OpenFile file;
    file.descriptor = entry.descriptor;
    file.flags = entry.close_on_exec ? kCloseOnExec : 0;
    Add(std::move(file), entry.file, "descriptor " + std::to_string(entry.descriptor));
  }
}

}  // namespace

Result<DescriptorTable> DescriptorTable::Create(const TaskSources& sources) {
  DescriptorTable reader(sources.kernel);
  KCD_ASSIGN(const Layout files, Layout::Of(sources.types, "struct files_struct"));
  KCD_ASSIGN(reader.table_, files.Need("fdt"));
  KCD_ASSIGN(const Layout table, Layout::Of(sources.types, "struct fdtable"));
  KCD_ASSIGN(reader.count_, table.Need("max_fds"));
  KCD_ASSIGN(reader.pointers_, table.Need("fd"));
  reader.close_on_exec_ = table.Find("close_on_exec");
  reader.table_bytes_ = table.bytes();
  return reader;
}

std::vector<DescriptorTable::Entry> DescriptorTable::Entries(uint64_t files, Findings& findings) {
  std::vector<Entry> entries;
  const auto at = kernel_.ReadValue<uint64_t>(files + table_.offset);
  Record table;
  Status read = at.ok() ? table.Load(kernel_, at.value(), table_bytes_) : Status(at.error());
  if (!read.ok()) {
    findings.Lost("the table of file descriptors cannot be read: " + read.error().message);
    return entries;
  }
  uint64_t count = table.Unsigned(count_);
  if (count > kMaxDescriptors) {
    findings.Lost("the table of file descriptors claims " + Grouped(count) + " of them: only " +
                  Grouped(kMaxDescriptors) + " are looked at");
    count = kMaxDescriptors;
  }
  looked_at_ += count;
  constexpr uint64_t kWord = sizeof(uint64_t);
  const ObjectBytes pointers = ObjectBytes::Read(kernel_, table.Unsigned(pointers_), count * kWord);
  const ObjectBytes bits = ObjectBytes::Read(kernel_, table.Unsigned(close_on_exec_),
                                             close_on_exec_.known() ? (count + 7) / 8 : 0);
  if (!pointers.holes().empty()) {
    findings.Lost("the table of file descriptors has holes: " + pointers.reason());
  }
  for (uint64_t i = 0; i < count; ++i) {
    if (pointers.StateOf(i * kWord, kWord) != ValueState::kRead) continue;
    uint64_t file = 0;
    std::memcpy(&file, pointers.At(i * kWord, kWord).data(), kWord);
    if (file == 0) continue;
    const bool known = bits.StateOf(i / 8, 1) == ValueState::kRead;
    const bool close = known && (bits.At(i / 8, 1)[0] >> (i % 8) & std::byte{1}) != std::byte{0};
    entries.push_back({static_cast<uint32_t>(i), file, close});
  }
  return entries;
}

Result<OpenFileList> WalkOpenFiles(const TaskSources& sources, uint32_t pid) {
  KCD_ASSIGN(const TaskHead task, FindTask(sources, pid));
  if (task.files == 0) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "process " + std::to_string(pid) + " has exited: it has no files");
  }
  OpenFileList list{.pid = pid, .comm = task.comm, .files = {}, .findings = {}};
  KCD_ASSIGN(OpenFileReader reader, OpenFileReader::Create(sources));
  FilesReader files(sources, list, std::move(reader));
  files.AddDirectory("cwd", task.fs);
  files.AddDirectory("root", task.fs);
  files.AddProgram(task.mm);
  files.AddDescriptors(task.files);
  LimitNotes(list.findings.notes);
  return list;
}

Result<OpenFileList> ListOpenFiles(Kernel& kernel, uint32_t pid) {
  Session& session = kernel.session();
  KCD_ASSIGN(const TaskSources sources, TaskSourcesOf(session));
  return AskAgainWhileLive(session, [&] { return WalkOpenFiles(sources, pid); });
}

}  // namespace kcoredump
