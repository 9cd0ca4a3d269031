// SPDX-License-Identifier: MIT
#include "source/kcore_source.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "base/file.h"
#include "base/try.h"
#include "kcoredump/text.h"
#include "source/kcore_reader.h"

namespace kcoredump {

namespace {

constexpr char kMemoryBlocksPath[] = "/sys/devices/system/memory";

bool IsSameFile(const struct stat& info, const std::string& path) {
  struct stat other {};
  return stat(path.c_str(), &other) == 0 && other.st_dev == info.st_dev &&
         other.st_ino == info.st_ino;
}

/// Without symbolic links; as it is where that cannot be told.
std::string RealPath(const std::string& path) {
  std::error_code failure;
  const std::filesystem::path real = std::filesystem::canonical(path, failure);
  return failure ? path : real.string();
}

/// Bit CAP_SYS_RAWIO of CapEff; true also where that cannot be read.
bool HasRawIoCapability() {
  const auto status = ReadTextFile("/proc/self/status", 1 << 16);
  if (!status.ok()) return true;
  static constexpr std::string_view kKey = "\nCapEff:\t";
  const size_t at = status.value().find(kKey);
  if (at == std::string::npos) return true;
  uint64_t mask = 0;
  const char* begin = status.value().data() + at + kKey.size();
  std::from_chars(begin, status.value().data() + status.value().size(), mask, 16);
  return ((mask >> CAP_SYS_RAWIO) & 1) != 0;
}

/// The first user namespace maps all ids onto themselves (user_namespaces(7)).
bool InUserNamespace() {
  const auto map = ReadTextFile("/proc/self/uid_map", 4096);
  return map.ok() && map.value().find("4294967295") == std::string::npos;
}

std::string RefusalReason(int system_errno) {
  if (system_errno == ENOENT) {
    return access("/proc/self", F_OK) == 0
               ? "this kernel has no /proc/kcore (CONFIG_PROC_KCORE is off, or a sandbox hides "
                 "it); "
                 "a kernel that has it is needed, or a dump given with -f"
               : "/proc is not mounted; mount it with: mount -t proc proc /proc";
  }
  if (LockdownState() == "confidentiality") {
    return "the kernel is in lockdown mode \"confidentiality\", which closes kcore to everyone, "
           "root included; boot without lockdown=confidentiality (integrity is enough for Secure "
           "Boot and leaves kcore open)";
  }
  if (!HasRawIoCapability()) {
    return "reading kcore needs CAP_SYS_RAWIO, which this process lacks; run it as root (sudo), or "
           "in a container with --cap-add SYS_RAWIO on the host's user namespace";
  }
  if (system_errno == EACCES) {
    return "the file's mode or a security module (SELinux, AppArmor) denies it; run as root and "
           "look into the audit log";
  }
  if (InUserNamespace()) {
    return "this is a user namespace (a rootless container, unshare -r), whose CAP_SYS_RAWIO does "
           "not "
           "count; run it as root on the host itself";
  }
  return "the process has CAP_SYS_RAWIO, so the kernel is most likely in lockdown mode "
         "\"confidentiality\" (dmesg tells, or /sys/kernel/security/lockdown); boot without it";
}

}  // namespace

std::string LockdownState() {
  const auto text = ReadTextFile("/sys/kernel/security/lockdown", 4096);
  if (!text.ok()) return "unknown";
  const size_t open = text.value().find('[');
  const size_t close = text.value().find(']');
  if (open == std::string::npos || close == std::string::npos || close < open) return "unknown";
  return text.value().substr(open + 1, close - open - 1);
}

Error ExplainRefusal(const std::string& path, int system_errno) {
  Error error = SystemError(path, system_errno);
  if (system_errno == EPERM || system_errno == EACCES || system_errno == ENOENT) {
    error.code = ErrorCode::kPermission;
    error.message += "; " + RefusalReason(system_errno);
  }
  return error;
}

/// A symbolic link (/dev/core, /dev/fd/N) or a bind mount gives kcore another name, and only its
/// own file system tells it from a dump. The other ELF file there is vmcore.
bool KcoreSource::IsKcore(const std::string& path) {
  if (path == kKcorePath) return true;
  std::error_code failure;
  const std::filesystem::path real = std::filesystem::canonical(path, failure);
  struct statfs system {};
  struct stat info {};
  if (failure || statfs(real.c_str(), &system) != 0 || system.f_type != PROC_SUPER_MAGIC ||
      stat(real.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return false;
  }
  return real.filename() != "vmcore" && !IsSameFile(info, kVmcorePath);
}

KcoreSource::KcoreSource(std::string path, uint64_t page_bytes, ElfCore core, MemoryMap map,
                         NoteSegment notes)
    : path_(std::move(path)),
      file_(RealPath(path_)),
      page_bytes_(page_bytes),
      core_(std::move(core)),
      map_(std::move(map)),
      notes_(std::move(notes)) {
  const Segment& last = map_.ram().back();
  const PhysAddr last_page{last.PhysRange().end - page_bytes_};
  const auto flags = PageFlagsReader::Open(PageFlagsPath(), page_bytes_);
  has_page_flags_ = flags.ok() && flags.value().Covers(last_page);
  if (!has_page_flags_) {
    caveats_.push_back((flags.ok() ? PageFlagsPath() + " does not answer" : flags.error().message) +
                       " (CONFIG_PROC_PAGE_MONITOR, CAP_SYS_ADMIN, a sandbox): poisoned and "
                       "ballooned pages cannot be told from zeros");
  }
  auto blocks = MemoryBlocks::Open(kMemoryBlocksPath);
  has_blocks_ = blocks.ok();
  if (blocks.ok()) {
    blocks_ = std::move(blocks.value());
  } else {
    caveats_.push_back(blocks.error().message +
                       "; offline memory cannot be told from zeros on every kernel");
  }
}

/// Beside kcore; where that is bound to another place, in /proc.
std::string KcoreSource::PageFlagsPath() const {
  const std::filesystem::path file(file_);
  return file.filename() == "kcore" ? (file.parent_path() / "kpageflags").string()
                                    : "/proc/kpageflags";
}

Result<std::unique_ptr<MemorySource>> KcoreSource::Open(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ExplainRefusal(path, errno);
  struct stat info {};
  if (fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return MakeError(ErrorCode::kPermission,
                     path +
                         " is masked by a container runtime; run on the host, or unmask it "
                         "(docker: --security-opt systempaths=unconfined --cap-add SYS_RAWIO)");
  }
  const ReadAtFunction read_at = [&](uint64_t offset, std::span<std::byte> out) {
    return PreadUpTo(fd.get(), out, offset);
  };
  auto core = ReadElfCore(read_at);
  if (!core.ok()) return std::move(core.error()).WithContext(path);
  NoteSegment notes;
  if (const ProgramHeader* header = core.value().Find(PT_NOTE)) {
    KCD_ASSIGN(notes, NoteSegment::Read(read_at, *header));
  }
  const auto page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  auto map = MemoryMap::Build(core.value(), MemoryMap::Dialect::kKcore, page_bytes);
  if (!map.ok()) return std::move(map.error()).WithContext(path);
  return std::unique_ptr<MemorySource>(new KcoreSource(path, page_bytes, std::move(core.value()),
                                                       std::move(map.value()), std::move(notes)));
}

Result<std::unique_ptr<SourceReader>> KcoreSource::NewReader() const {
  UniqueFd fd(open(file_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ExplainRefusal(path_, errno);
  // Where it answered once it must go on doing so: a reader without it would show zeros.
  PageFlagsReader flags;
  if (has_page_flags_) {
    KCD_ASSIGN(flags, PageFlagsReader::Open(PageFlagsPath(), page_bytes_));
  }
  KCD_ASSIGN(auto reader,
             KcoreReader::Create(std::move(fd), std::move(flags), blocks_, page_bytes_));
  return std::unique_ptr<SourceReader>(std::move(reader));
}

}  // namespace kcoredump
