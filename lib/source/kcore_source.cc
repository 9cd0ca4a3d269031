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

#include "base/error.h"
#include "base/file.h"
#include "base/try.h"
#include "kcoredump/text.h"
#include "source/kcore_reader.h"

namespace kcoredump {

namespace {

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

bool KcoreSource::IsKcore(const std::string& path) {
  if (path == kKcorePath) return true;
  struct statfs info {};
  return std::filesystem::path(path).filename() == "kcore" && statfs(path.c_str(), &info) == 0 &&
         info.f_type == PROC_SUPER_MAGIC;
}

KcoreSource::KcoreSource(std::string path, uint64_t page_bytes, ElfCore core, MemoryMap map,
                         NoteSegment notes)
    : path_(std::move(path)),
      page_bytes_(page_bytes),
      core_(std::move(core)),
      map_(std::move(map)),
      notes_(std::move(notes)),
      blocks_("/sys/devices/system/memory") {
  const Segment& last = map_.ram().back();
  const PhysAddr last_page{last.PhysRange().end - page_bytes_};
  if (!PageFlagsReader(PageFlagsPath(), page_bytes_).Covers(last_page)) {
    caveats_.push_back(PageFlagsPath() +
                       " does not answer (CONFIG_PROC_PAGE_MONITOR, CAP_SYS_ADMIN, a sandbox): "
                       "poisoned and ballooned pages cannot be told from zeros");
  }
}

std::string KcoreSource::PageFlagsPath() const {
  return (std::filesystem::path(path_).parent_path() / "kpageflags").string();
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
  UniqueFd fd(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ExplainRefusal(path_, errno);
  KCD_ASSIGN(auto reader,
             KcoreReader::Create(std::move(fd), PageFlagsReader(PageFlagsPath(), page_bytes_),
                                 blocks_, page_bytes_));
  return std::unique_ptr<SourceReader>(std::move(reader));
}

}  // namespace kcoredump
