// SPDX-License-Identifier: MIT
#include "base/output_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "base/error.h"
#include "base/try.h"
#include "base/unique_fd.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// One write; a multiple of every block size O_DIRECT may ask for.
constexpr size_t kBlockBytes = 1 << 20;
/// How far behind the writer written-back blocks are dropped from the page cache.
constexpr uint64_t kWriteBehindBytes = 8 << 20;
constexpr unsigned kMaxPartialNames = 100;
constexpr char kLongestSuffix[] = ".partial.100";

/// Whatever is wrong with an output is an I/O error: a refused output is not a refused source.
Error IoError(const std::string& what, int system_errno) {
  Error error = SystemError(what, system_errno);
  error.code = ErrorCode::kIo;
  return error;
}

Status WriteAll(int fd, std::span<const std::byte> bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EAGAIN) {
      pollfd room{.fd = fd, .events = POLLOUT, .revents = 0};
      poll(&room, 1, -1);
      continue;
    }
    if (count < 0 && errno != EINTR) return IoError(name, errno);
    if (count > 0) bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return {};
}

/// Keeps what is written to a file out of the page cache, as far as that goes without O_DIRECT:
/// starts writing new bytes back, and drops those that had time to get to the disk.
class WriteBehind {
 public:
  /// `written_bytes`: how far the file goes now; it grows without gaps.
  void Advance(int fd, uint64_t written_bytes) {
    const auto start = static_cast<off_t>(dropped_bytes_);
    if (written_bytes - started_bytes_ >= kBlockBytes) {
      sync_file_range(fd, start, 0, SYNC_FILE_RANGE_WRITE);
      started_bytes_ = written_bytes;
    }
    if (written_bytes - dropped_bytes_ < 2 * kWriteBehindBytes) return;
    sync_file_range(
        fd, start, kWriteBehindBytes,
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    posix_fadvise(fd, start, kWriteBehindBytes, POSIX_FADV_DONTNEED);
    dropped_bytes_ += kWriteBehindBytes;
  }
  /// The file now ends at `bytes`.
  void Reset(uint64_t bytes) { started_bytes_ = dropped_bytes_ = bytes; }

 private:
  uint64_t started_bytes_ = 0;
  uint64_t dropped_bytes_ = 0;
};

class PipeSink : public ByteSink {
 public:
  explicit PipeSink(int fd) : fd_(fd) {
    struct stat info {};
    is_file_ = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    const bool appends = (fcntl(fd, F_GETFL) & O_APPEND) != 0;
    const off_t position = appends ? info.st_size : std::max<off_t>(lseek(fd, 0, SEEK_CUR), 0);
    if (is_file_) {
      start_ = static_cast<uint64_t>(position);
      behind_.Reset(start_);
    }
  }

  Status Write(std::span<const std::byte> bytes) override {
    KCD_TRY(WriteAll(fd_, bytes, "standard output"));
    taken_bytes_ += bytes.size();
    if (is_file_) behind_.Advance(fd_, start_ + taken_bytes_);
    return {};
  }
  Status Flush() override { return {}; }
  uint64_t taken_bytes() const override { return taken_bytes_; }
  Status Rewind(uint64_t /*offset*/) override {
    return MakeError(ErrorCode::kUnsupported, "a pipe cannot be rewound");
  }
  Result<std::string> Publish(bool /*complete*/) override {
    if (is_file_ && fsync(fd_) != 0) return IoError("standard output", errno);
    return std::string("-");
  }
  bool around_page_cache() const override { return false; }

 private:
  int fd_;
  bool is_file_ = false;  ///< "> FILE": the page cache matters there, too
  uint64_t start_ = 0;
  uint64_t taken_bytes_ = 0;
  WriteBehind behind_;
};

/// Page-aligned memory for O_DIRECT.
class BlockBuffer {
 public:
  BlockBuffer()
      : memory_(mmap(nullptr, kBlockBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                     0)) {}
  ~BlockBuffer() {
    if (valid()) munmap(memory_, kBlockBytes);
  }
  BlockBuffer(const BlockBuffer&) = delete;
  BlockBuffer& operator=(const BlockBuffer&) = delete;
  [[nodiscard]] bool valid() const { return memory_ != MAP_FAILED; }
  [[nodiscard]] std::span<std::byte> bytes() {
    return {static_cast<std::byte*>(memory_), kBlockBytes};
  }

 private:
  void* memory_;
};

/// `path` taken apart: an open directory, so that later steps cannot be led elsewhere, and a name.
struct Target {
  UniqueFd directory;
  std::string directory_path;
  std::string name;
};

Result<Target> ResolveTarget(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  Target target;
  target.directory_path = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  target.name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (target.name.empty() || target.name == "." || target.name == "..") {
    return MakeError(ErrorCode::kInvalidArgument, path + " is not a file name");
  }
  target.directory =
      UniqueFd(open(target.directory_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!target.directory.valid()) {
    return IoError(target.directory_path, errno).WithContext("the folder of the output");
  }
  return target;
}

std::string TemporaryName(const std::string& name) {
  uint64_t random = 0;
  if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
    random = static_cast<uint64_t>(getpid());
  }
  // Long names must leave room for the decoration (NAME_MAX).
  return "." + name.substr(0, 200) + "." + Hex(random).substr(2) + ".tmp";
}

class OutputFile : public ByteSink {
 public:
  OutputFile(std::string path, Target target, bool force)
      : path_(std::move(path)), target_(std::move(target)), force_(force) {}
  ~OutputFile() override {
    if (!temporary_.empty()) unlinkat(target_.directory.get(), temporary_.c_str(), 0);
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  Status Open();
  [[nodiscard]] Status CheckTarget() const;
  Status Write(std::span<const std::byte> bytes) override;
  Status Flush() override;
  uint64_t taken_bytes() const override { return taken_bytes_; }
  Status Rewind(uint64_t offset) override;
  Result<std::string> Publish(bool complete) override;
  bool around_page_cache() const override { return was_direct_; }

 private:
  [[nodiscard]] Status WriteBlock(size_t bytes);
  [[nodiscard]] int PwriteAll(std::span<const std::byte> bytes);
  void LeaveDirectMode();
  [[nodiscard]] int Rename(const std::string& temporary, const std::string& name);
  [[nodiscard]] Result<std::string> PublishPartial();
  [[nodiscard]] std::string PathOf(const std::string& name) const;

  std::string path_;
  Target target_;
  bool force_;
  std::string temporary_;
  UniqueFd fd_;
  BlockBuffer block_;
  size_t filled_ = 0;         ///< bytes waiting in block_
  uint64_t taken_bytes_ = 0;  ///< bytes in the file
  WriteBehind behind_;
  bool direct_ = true;
  bool was_direct_ = false;
};

/// What can be known now must not be found out after an hour of reading.
Status OutputFile::CheckTarget() const {
  if (target_.name.size() + std::strlen(kLongestSuffix) > NAME_MAX) {
    return MakeError(ErrorCode::kInvalidArgument, path_ + ": the name is too long");
  }
  struct stat info {};
  if (fstatat(target_.directory.get(), target_.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return IoError(path_, errno);
  }
  if (S_ISDIR(info.st_mode)) return IoError(path_, EISDIR);
  if (!S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     path_ + " is a device or a pipe; write there with -o - > " + path_);
  }
  if (force_) return {};
  Error error = IoError(path_, EEXIST);
  error.message += "; choose another name, or replace it with --force";
  return error;
}

Status OutputFile::Open() {
  if (!block_.valid()) return SystemError("a write buffer", ENOMEM);
  KCD_TRY(CheckTarget());
  temporary_ = TemporaryName(target_.name);
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  fd_ = UniqueFd(openat(target_.directory.get(), temporary_.c_str(), flags | O_DIRECT, 0600));
  if (!fd_.valid() && errno == EINVAL) {
    // Some file systems create the file and only then refuse O_DIRECT.
    unlinkat(target_.directory.get(), temporary_.c_str(), 0);
    direct_ = false;
    fd_ = UniqueFd(openat(target_.directory.get(), temporary_.c_str(), flags, 0600));
  }
  if (!fd_.valid()) {
    const int open_errno = errno;
    temporary_.clear();
    return IoError(target_.directory_path, open_errno).WithContext("cannot create a file in");
  }
  was_direct_ = direct_;
  return {};
}

Status OutputFile::Write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const size_t step = std::min(bytes.size(), kBlockBytes - filled_);
    std::memcpy(block_.bytes().data() + filled_, bytes.data(), step);
    filled_ += step;
    bytes = bytes.subspan(step);
    if (filled_ == kBlockBytes) KCD_TRY(WriteBlock(kBlockBytes));
  }
  return {};
}

/// Writes the first `bytes` of the block and empties it.
Status OutputFile::WriteBlock(size_t bytes) {
  if (direct_ && bytes != kBlockBytes) LeaveDirectMode();
  const std::span<const std::byte> block = block_.bytes().first(bytes);
  int failure = PwriteAll(block);
  if (failure == EINVAL && direct_) {
    LeaveDirectMode();
    was_direct_ = false;
    failure = PwriteAll(block);
  }
  if (failure != 0) return IoError(path_, failure);
  taken_bytes_ += bytes;
  filled_ = 0;
  if (!direct_) behind_.Advance(fd_.get(), taken_bytes_);
  return {};
}

int OutputFile::PwriteAll(std::span<const std::byte> bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = pwrite(fd_.get(), bytes.data() + done, bytes.size() - done,
                                 static_cast<off_t>(taken_bytes_ + done));
    if (count < 0 && errno != EINTR) return errno;
    if (count == 0) return EIO;
    if (count > 0) done += static_cast<size_t>(count);
    // A short direct write leaves an offset that O_DIRECT may not take.
    if (count > 0 && done < bytes.size() && direct_) LeaveDirectMode();
  }
  return 0;
}

void OutputFile::LeaveDirectMode() {
  const int flags = fcntl(fd_.get(), F_GETFL);
  if (flags >= 0) fcntl(fd_.get(), F_SETFL, flags & ~O_DIRECT);
  direct_ = false;
  behind_.Reset(taken_bytes_);
}

Status OutputFile::Flush() {
  if (filled_ == 0) return {};
  return WriteBlock(filled_);
}

Status OutputFile::Rewind(uint64_t offset) {
  if (offset > taken_bytes_) {
    return MakeError(ErrorCode::kInvalidArgument, "cannot rewind to " + Hex(offset));
  }
  LeaveDirectMode();
  if (ftruncate(fd_.get(), static_cast<off_t>(offset)) != 0) return SystemError(path_, errno);
  taken_bytes_ = offset;
  behind_.Reset(offset);
  filled_ = 0;
  return {};
}

/// Gives the file `temporary` its name. 0 or an errno; EEXIST only where nothing may be replaced.
int OutputFile::Rename(const std::string& temporary, const std::string& name) {
  const int directory = target_.directory.get();
  const unsigned flags = force_ ? 0 : RENAME_NOREPLACE;
  if (renameat2(directory, temporary.c_str(), directory, name.c_str(), flags) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // File systems without RENAME_NOREPLACE: a hard link refuses to replace, too; and where there are
  // no hard links either, an empty file takes the name first.
  if (linkat(directory, temporary.c_str(), directory, name.c_str(), 0) == 0) {
    unlinkat(directory, temporary.c_str(), 0);
    return 0;
  }
  if (errno == EEXIST) return errno;
  const UniqueFd placeholder(
      openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!placeholder.valid()) return errno;
  if (renameat(directory, temporary.c_str(), directory, name.c_str()) == 0) return 0;
  const int failure = errno;
  unlinkat(directory, name.c_str(), 0);  // the empty file, which is ours
  return failure;
}

std::string OutputFile::PathOf(const std::string& name) const {
  return path_.substr(0, path_.size() - target_.name.size()) + name;
}

/// Never loses the data: what cannot be renamed stays under its temporary name, which the error
/// tells.
Result<std::string> OutputFile::PublishPartial() {
  const std::string temporary = std::exchange(temporary_, {});
  int failure = EEXIST;
  for (unsigned i = 1; failure == EEXIST && i <= kMaxPartialNames; ++i) {
    const std::string name = target_.name + ".partial" + (i == 1 ? "" : "." + std::to_string(i));
    failure = Rename(temporary, name);
    if (failure == 0) return PathOf(name);
  }
  return IoError(path_ + ".partial cannot be named so; what was written is in " + PathOf(temporary),
                 failure);
}

Result<std::string> OutputFile::Publish(bool complete) {
  KCD_TRY(Flush());
  if (fsync(fd_.get()) != 0) {
    const int sync_errno = errno;
    KCD_ASSIGN(const std::string kept, PublishPartial());
    return IoError("the disk did not confirm all data of " + kept + " (verify it)", sync_errno);
  }
  posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED);
  std::string published = path_;
  const int failure = complete ? Rename(temporary_, target_.name) : 0;
  if (failure != 0) {
    // Somebody took the name meanwhile: the capture is kept all the same.
    KCD_ASSIGN(const std::string kept, PublishPartial());
    return IoError(path_ + " could not be named so; the whole capture is in " + kept, failure);
  }
  if (!complete) {
    KCD_ASSIGN(published, PublishPartial());
  }
  temporary_.clear();
  if (fsync(target_.directory.get()) != 0 && errno != EINVAL) {
    return IoError(target_.directory_path, errno);
  }
  return published;
}

}  // namespace

Result<std::unique_ptr<ByteSink>> CreateOutputFile(const std::string& path, bool force) {
  KCD_ASSIGN(Target target, ResolveTarget(path));
  auto file = std::make_unique<OutputFile>(path, std::move(target), force);
  KCD_TRY(file->Open());
  return std::unique_ptr<ByteSink>(std::move(file));
}

std::unique_ptr<ByteSink> CreatePipeSink(int fd) { return std::make_unique<PipeSink>(fd); }

}  // namespace kcoredump
