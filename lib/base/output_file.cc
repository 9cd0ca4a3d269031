// SPDX-License-Identifier: MIT
#include "base/output_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <limits>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "base/unique_fd.h"
#include "base/write_behind.h"
#include "base/zero.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// One write; a multiple of every block size O_DIRECT may ask for.
constexpr size_t kBlockBytes = 1 << 20;
/// Zeros that are worth a hole in the file: shorter runs cost less time written than left out.
constexpr size_t kHoleBytes = 64 << 10;
constexpr unsigned kMaxPartialNames = 100;
constexpr char kLongestSuffix[] = ".partial.100";

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
    return OutputError(target.directory_path, errno).WithContext("the folder of the output");
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
  Status Skip(uint64_t bytes) override;
  Status Patch(uint64_t offset, std::span<const std::byte> bytes) override;
  bool can_patch() const override { return true; }
  Status Reserve(uint64_t bytes) override;
  Status Flush() override;
  uint64_t taken_bytes() const override { return taken_bytes_; }
  Status Rewind(uint64_t offset) override;
  Result<std::string> Publish(bool complete) override;
  Result<std::string> Keep() override;
  bool around_page_cache() const override { return was_direct_; }

 private:
  [[nodiscard]] Status WriteBlock(size_t bytes);
  [[nodiscard]] int WriteRuns(std::span<const std::byte> block);
  [[nodiscard]] int PwriteAll(std::span<const std::byte> bytes, uint64_t offset);
  void SetDirect(bool on);
  void LeaveDirectMode();
  [[nodiscard]] int Rename(const std::string& temporary, const std::string& name, bool replace);
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
    return OutputError(path_, errno);
  }
  if (S_ISDIR(info.st_mode)) return OutputError(path_, EISDIR);
  if (!S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     path_ + " is a device or a pipe; write there with -o - > " + path_);
  }
  if (force_) return {};
  Error error = OutputError(path_, EEXIST);
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
    return OutputError(target_.directory_path, open_errno).WithContext("cannot create a file in");
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

Status OutputFile::Skip(uint64_t bytes) {
  static constexpr std::array<std::byte, 4096> kZeros{};
  while (bytes != 0) {
    if (filled_ == 0 && bytes >= kBlockBytes) {
      const uint64_t hole = AlignDown(bytes, kBlockBytes);
      const auto end = CheckedAdd(taken_bytes_, hole);
      if (!end || *end > static_cast<uint64_t>(std::numeric_limits<off_t>::max())) {
        return OutputError(path_, EFBIG);
      }
      taken_bytes_ = *end;
      bytes -= hole;
      behind_.Reset(taken_bytes_);
      continue;
    }
    const size_t step = std::min<uint64_t>({bytes, kZeros.size(), kBlockBytes - filled_});
    KCD_TRY(Write(std::span(kZeros).first(step)));
    bytes -= step;
  }
  return {};
}

/// What still waits in the block is changed there, the rest in the file.
Status OutputFile::Patch(uint64_t offset, std::span<const std::byte> bytes) {
  const auto end = CheckedAdd(offset, bytes.size());
  if (!end || *end > taken_bytes_ + filled_) {
    return MakeError(ErrorCode::kInvalidArgument, "a patch beyond what was written");
  }
  if (*end > taken_bytes_) {
    const uint64_t in_block = std::max(offset, taken_bytes_);
    const auto tail = bytes.subspan(in_block - offset);
    std::memcpy(block_.bytes().data() + (in_block - taken_bytes_), tail.data(), tail.size());
    bytes = bytes.first(bytes.size() - tail.size());
  }
  if (bytes.empty()) return {};
  SetDirect(false);
  const int failure = PwriteAll(bytes, offset);
  if (failure != 0) return OutputError(path_, failure);
  const auto start = static_cast<off_t>(offset);
  const auto length = static_cast<off_t>(bytes.size());
  sync_file_range(fd_.get(), start, length, SYNC_FILE_RANGE_WRITE);
  if (direct_) SetDirect(true);
  return {};
}

Status OutputFile::Reserve(uint64_t bytes) {
  // Some file systems cannot: then a full disk may cost the end of the file.
  if (fallocate(fd_.get(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) == 0) return {};
  return errno == ENOSPC || errno == EDQUOT ? Status(OutputError(path_, errno)) : Status();
}

/// Writes the first `bytes` of the block and empties it.
Status OutputFile::WriteBlock(size_t bytes) {
  if (direct_ && bytes != kBlockBytes) LeaveDirectMode();
  const std::span<const std::byte> block = block_.bytes().first(bytes);
  int failure = WriteRuns(block);
  if (failure == EINVAL && direct_) {
    LeaveDirectMode();
    was_direct_ = false;
    failure = WriteRuns(block);
  }
  if (failure != 0) return OutputError(path_, failure);
  taken_bytes_ += bytes;
  filled_ = 0;
  if (!direct_) behind_.Advance(fd_.get(), taken_bytes_);
  return {};
}

/// All of the block but its long runs of zeros, where the file is a hole already.
int OutputFile::WriteRuns(std::span<const std::byte> block) {
  size_t begin = 0;
  for (size_t at = 0; at < block.size(); at += kHoleBytes) {
    const size_t step = std::min(kHoleBytes, block.size() - at);
    if (step != kHoleBytes || !IsZero(block.subspan(at, step))) continue;
    const int failure = PwriteAll(block.subspan(begin, at - begin), taken_bytes_ + begin);
    if (failure != 0) return failure;
    begin = at + step;
  }
  return PwriteAll(block.subspan(begin), taken_bytes_ + begin);
}

int OutputFile::PwriteAll(std::span<const std::byte> bytes, uint64_t offset) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = pwrite(fd_.get(), bytes.data() + done, bytes.size() - done,
                                 static_cast<off_t>(offset + done));
    if (count < 0 && errno != EINTR) return errno;
    if (count == 0) return EIO;
    if (count > 0) done += static_cast<size_t>(count);
    // A short direct write leaves an offset that O_DIRECT may not take.
    if (count > 0 && done < bytes.size() && direct_) {
      LeaveDirectMode();
      was_direct_ = false;
    }
  }
  return 0;
}

void OutputFile::SetDirect(bool on) {
  const int flags = fcntl(fd_.get(), F_GETFL);
  if (flags >= 0) fcntl(fd_.get(), F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT);
}

void OutputFile::LeaveDirectMode() {
  SetDirect(false);
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
int OutputFile::Rename(const std::string& temporary, const std::string& name, bool replace) {
  const int directory = target_.directory.get();
  const unsigned flags = replace ? 0 : RENAME_NOREPLACE;
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

/// Never loses data, --force or not: another partial file keeps its name (it may be this one's
/// base), and what cannot be renamed stays under its temporary name, which the error tells.
Result<std::string> OutputFile::PublishPartial() {
  const std::string temporary = std::exchange(temporary_, {});
  int failure = EEXIST;
  for (unsigned i = 1; failure == EEXIST && i <= kMaxPartialNames; ++i) {
    const std::string name = target_.name + ".partial" + (i == 1 ? "" : "." + std::to_string(i));
    failure = Rename(temporary, name, false);
    if (failure == 0) return PathOf(name);
  }
  return OutputError(
      path_ + ".partial cannot be named so; what was written is in " + PathOf(temporary), failure);
}

Result<std::string> OutputFile::Publish(bool complete) {
  KCD_TRY(Flush());
  // A hole at the end is in no write.
  if (ftruncate(fd_.get(), static_cast<off_t>(taken_bytes_)) != 0 || fsync(fd_.get()) != 0) {
    const int sync_errno = errno;
    KCD_ASSIGN(const std::string kept, PublishPartial());
    return OutputError("the disk did not confirm all data of " + kept + " (verify it)", sync_errno);
  }
  posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED);
  std::string published = path_;
  const int failure = complete ? Rename(temporary_, target_.name, force_) : 0;
  if (failure != 0) {
    // Somebody took the name meanwhile: the capture is kept all the same.
    KCD_ASSIGN(const std::string kept, PublishPartial());
    return OutputError(path_ + " could not be named so; the whole capture is in " + kept, failure);
  }
  if (!complete) {
    KCD_ASSIGN(published, PublishPartial());
  }
  temporary_.clear();
  if (fsync(target_.directory.get()) != 0 && errno != EINVAL) {
    return OutputError(target_.directory_path, errno);
  }
  return published;
}

Result<std::string> OutputFile::Keep() {
  if (taken_bytes_ == 0 || temporary_.empty()) {
    return MakeError(ErrorCode::kNotFound, "nothing was written");
  }
  (void)fsync(fd_.get());  // the disk failed before: whatever it still takes
  return PublishPartial();
}

}  // namespace

Result<std::unique_ptr<ByteSink>> CreateOutputFile(const std::string& path, bool force) {
  KCD_ASSIGN(Target target, ResolveTarget(path));
  auto file = std::make_unique<OutputFile>(path, std::move(target), force);
  KCD_TRY(file->Open());
  return std::unique_ptr<ByteSink>(std::move(file));
}

}  // namespace kcoredump
