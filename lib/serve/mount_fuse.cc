// SPDX-License-Identifier: MIT
//
// The folder as a FUSE file system: the only place that sees libfuse.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/cpus.h"
#include "base/error.h"
#include "base/try.h"
#include "kcoredump/mount.h"
#include "kcoredump/text.h"
#include "serve/mount_folder.h"

namespace kcoredump {

namespace {

constexpr unsigned kMaxReadBytes = 1 << 20;
/// Without allow_other the kernel lets in nobody but this user. max_read stands here and in init().
constexpr char kMountOptions[] =
    "ro,nosuid,nodev,noexec,default_permissions,fsname=kcoredump,subtype=kcoredump,"
    "max_read=1048576";
static_assert(kMaxReadBytes == 1048576);
/// How soon a cancellation is noticed.
constexpr int kCancelPollMs = 250;
constexpr unsigned kFewestThreads = 4;
constexpr unsigned kMostThreads = 16;
/// How long the kernel may keep what a dead image says of a file.
constexpr double kDeadImageSeconds = 86400;

/// An open file as the kernel's handle stands for it.
struct OpenHandle {
  std::shared_ptr<FolderFile> file;
  bool direct = false;  ///< not by way of the kernel's page cache
};

/// What the operations work on.
struct MountState {
  MountFolder& folder;
  std::mutex mutex;
  /// Open files: of those that are open at the end the kernel speaks no more.
  std::unordered_map<const OpenHandle*, std::unique_ptr<OpenHandle>> open;
};

int ErrnoOf(const Error& error) {
  switch (error.code) {
    case ErrorCode::kNotFound:
      return ENODATA;
    case ErrorCode::kPermission:
      return EACCES;
    case ErrorCode::kLimitExceeded:
      return EFBIG;
    default:
      return EIO;
  }
}

MountState& StateOf(fuse_req_t request) {
  return *static_cast<MountState*>(fuse_req_userdata(request));
}

MountFolder& FolderOf(fuse_req_t request) { return StateOf(request).folder; }

OpenHandle& HandleOf(const fuse_file_info* info) {
  return *reinterpret_cast<OpenHandle*>(info->fh);
}

/// libfuse is C: nothing is thrown through it.
template <typename Answer>
void Answered(fuse_req_t request, const Answer& answer) {
  try {
    answer();
  } catch (const std::bad_alloc&) {
    fuse_reply_err(request, ENOMEM);
  }
}

struct stat AttributesOf(const MountFolder& folder, uint64_t inode, const FileFacts& facts) {
  struct stat attributes {};
  attributes.st_ino = inode;
  attributes.st_mode = facts.is_folder ? S_IFDIR | 0500 : S_IFREG | 0400;
  attributes.st_nlink = facts.is_folder ? 2 : 1;
  attributes.st_uid = geteuid();
  attributes.st_gid = getegid();
  attributes.st_size = static_cast<off_t>(facts.bytes);
  attributes.st_blocks = static_cast<blkcnt_t>((facts.data_bytes + 511) / 512);
  attributes.st_blksize = kMaxReadBytes;
  attributes.st_mtim.tv_sec = static_cast<time_t>(folder.started_utc_ns() / 1'000'000'000);
  attributes.st_atim = attributes.st_ctim = attributes.st_mtim;
  return attributes;
}

double SecondsKept(const MountFolder& folder) { return folder.live() ? 0 : kDeadImageSeconds; }

void AnswerInit(void* /*folder*/, fuse_conn_info* connection) {
  connection->max_read = kMaxReadBytes;
}

void AnswerLookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Answered(request, [&] {
    MountFolder& folder = FolderOf(request);
    const auto inode = folder.Lookup(parent, name);
    if (!inode.ok()) return (void)fuse_reply_err(request, ENOENT);
    const auto facts = folder.Facts(inode.value());
    if (!facts.ok()) return (void)fuse_reply_err(request, ENOENT);
    fuse_entry_param entry{};
    entry.ino = inode.value();
    entry.attr = AttributesOf(folder, inode.value(), facts.value());
    entry.attr_timeout = entry.entry_timeout = SecondsKept(folder);
    fuse_reply_entry(request, &entry);
  });
}

void AnswerAttributes(fuse_req_t request, fuse_ino_t inode, fuse_file_info* /*info*/) {
  Answered(request, [&] {
    MountFolder& folder = FolderOf(request);
    const auto facts = folder.Facts(inode);
    if (!facts.ok()) return (void)fuse_reply_err(request, ENOENT);
    const struct stat attributes = AttributesOf(folder, inode, facts.value());
    fuse_reply_attr(request, &attributes, SecondsKept(folder));
  });
}

/// Appends an entry to what is left of `room`; false: it has no place there.
bool AddEntry(fuse_req_t request, const FolderEntry& entry, uint64_t cookie,
              std::vector<char>& listing, size_t room) {
  struct stat attributes {};
  attributes.st_ino = entry.inode;
  attributes.st_mode = entry.is_folder ? S_IFDIR : S_IFREG;
  const size_t used = listing.size();
  const size_t bytes = fuse_add_direntry(request, nullptr, 0, entry.name.c_str(), nullptr, 0);
  if (used + bytes > room) return false;
  listing.resize(used + bytes);
  fuse_add_direntry(request, listing.data() + used, bytes, entry.name.c_str(), &attributes,
                    static_cast<off_t>(cookie));
  return true;
}

/// An entry's cookie follows from its inode, so that processes that come and go meanwhile hide no
/// other.
void AnswerList(fuse_req_t request, fuse_ino_t inode, size_t room, off_t after,
                fuse_file_info* /*info*/) {
  static constexpr uint64_t kOwnEntries = 2;
  Answered(request, [&] {
    auto listed = FolderOf(request).List(inode);
    if (!listed.ok()) {
      FolderOf(request).TellNote(listed.error().message);
      return (void)fuse_reply_err(request, ErrnoOf(listed.error()));
    }
    std::vector<FolderEntry> entries = {{.name = ".", .inode = inode, .is_folder = true},
                                        {.name = "..", .inode = inode, .is_folder = true}};
    entries.insert(entries.end(), listed.value().begin(), listed.value().end());
    std::vector<char> listing;
    for (size_t i = 0; i < entries.size(); ++i) {
      const uint64_t cookie = i < kOwnEntries ? i + 1 : entries[i].inode + kOwnEntries;
      if (cookie <= static_cast<uint64_t>(after)) continue;
      if (!AddEntry(request, entries[i], cookie, listing, room)) break;
    }
    fuse_reply_buf(request, listing.data(), listing.size());
  });
}

/// The kernel may keep what it has read of a dead image: that serves mmap, small reads and many
/// readers. A live kernel is read anew each time, past the page cache.
void AnswerOpen(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  if ((info->flags & O_ACCMODE) != O_RDONLY) return (void)fuse_reply_err(request, EROFS);
  Answered(request, [&] {
    MountFolder& folder = FolderOf(request);
    const auto facts = folder.Facts(inode);
    if (!facts.ok()) return (void)fuse_reply_err(request, ENOENT);
    auto file = folder.OpenFile(inode);
    if (!file.ok()) {
      folder.TellNote(file.error().message);
      return (void)fuse_reply_err(request, ErrnoOf(file.error()));
    }
    info->direct_io = facts.value().unchanging ? 0 : 1;
    info->keep_cache = facts.value().unchanging ? 1 : 0;
    info->noflush = 1;
    auto handle = std::make_unique<OpenHandle>(
        OpenHandle{.file = std::move(file.value()), .direct = info->direct_io != 0});
    OpenHandle* const key = handle.get();
    info->fh = reinterpret_cast<uint64_t>(key);
    MountState& state = StateOf(request);
    {
      const std::lock_guard lock(state.mutex);
      state.open.emplace(key, std::move(handle));
    }
    if (fuse_reply_open(request, info) == 0) return;
    const std::lock_guard lock(state.mutex);
    state.open.erase(key);
  });
}

void AnswerRelease(fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info* info) {
  {
    MountState& state = StateOf(request);
    const std::lock_guard lock(state.mutex);
    state.open.erase(&HandleOf(info));
  }
  fuse_reply_err(request, 0);
}

/// The page cache takes a short read for the end of the file: there it is all or nothing, and the
/// kernel then asks for each page on its own.
void AnswerRead(fuse_req_t request, fuse_ino_t /*inode*/, size_t bytes, off_t offset,
                fuse_file_info* info) {
  thread_local std::vector<std::byte> buffer;
  Answered(request, [&] {
    const OpenHandle& handle = HandleOf(info);
    const auto at = static_cast<uint64_t>(offset);
    if (buffer.size() < bytes) buffer.resize(bytes);
    const auto count = handle.file->Read(at, std::span(buffer).first(bytes));
    if (!count.ok()) {
      FolderOf(request).TellNote(count.error().message);
      return (void)fuse_reply_err(request, EIO);
    }
    const uint64_t end = handle.file->bytes().value_or(at);
    const uint64_t wanted = std::min<uint64_t>(bytes, end > at ? end - at : 0);
    if (!handle.direct && count.value() < wanted) return (void)fuse_reply_err(request, EIO);
    fuse_reply_buf(request, reinterpret_cast<const char*>(buffer.data()), count.value());
  });
}

void AnswerSeek(fuse_req_t request, fuse_ino_t /*inode*/, off_t offset, int whence,
                fuse_file_info* info) {
  const FolderFile& file = *HandleOf(info).file;
  const auto at = static_cast<uint64_t>(offset);
  const uint64_t end = file.bytes().value_or(0);
  if (offset < 0 || at >= end) return (void)fuse_reply_err(request, ENXIO);
  const uint64_t next = file.Next(at, whence == SEEK_DATA);
  if (whence == SEEK_DATA && next >= end) return (void)fuse_reply_err(request, ENXIO);
  fuse_reply_lseek(request, static_cast<off_t>(std::min(next, end)));
}

constexpr fuse_lowlevel_ops kOperations = [] {
  fuse_lowlevel_ops operations{};
  operations.init = AnswerInit;
  operations.lookup = AnswerLookup;
  operations.getattr = AnswerAttributes;
  operations.readdir = AnswerList;
  operations.open = AnswerOpen;
  operations.release = AnswerRelease;
  operations.read = AnswerRead;
  operations.lseek = AnswerSeek;
  return operations;
}();

/// What libfuse said last: it has no other way to tell why it fails.
std::mutex g_said_mutex;
std::string g_said;

void TakeLog(fuse_log_level /*level*/, const char* format, va_list arguments) {
  char line[512];
  std::vsnprintf(line, sizeof(line), format, arguments);
  const std::lock_guard lock(g_said_mutex);
  g_said = std::string(TrimmedRight(line));
}

bool HaveFusermount() {
  const char* path = std::getenv("PATH");
  std::string folders = "/usr/bin:/bin:" + std::string(path == nullptr ? "" : path) + ":";
  for (size_t end = folders.find(':'); end != std::string::npos; end = folders.find(':')) {
    if (access((folders.substr(0, end) + "/fusermount3").c_str(), X_OK) == 0) return true;
    folders.erase(0, end + 1);
  }
  return false;
}

Status CheckFuse() {
  if (access("/dev/fuse", F_OK) != 0) {
    return MakeError(ErrorCode::kPermission,
                     "there is no /dev/fuse: load the module (as root: modprobe fuse), or give it "
                     "to the container (--device /dev/fuse --cap-add SYS_ADMIN)");
  }
  if (access("/dev/fuse", R_OK | W_OK) != 0) {
    return MakeError(ErrorCode::kPermission,
                     "you may not open /dev/fuse; as root: chmod 666 /dev/fuse, as udev has it");
  }
  if (geteuid() == 0 || HaveFusermount()) return {};
  return MakeError(ErrorCode::kPermission,
                   "fusermount3 is not installed (Debian's package fuse3), and without it only "
                   "root may mount");
}

/// The folder's full path.
Result<std::string> CheckFolder(const std::string& folder) {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::canonical(folder, error);
  const bool is_folder = !error && std::filesystem::is_directory(path, error);
  if (error.value() == ENOTCONN) {
    return InvalidArgument(folder +
                           " is what a mount left behind that was killed; free it with "
                           "fusermount3 -u or umount");
  }
  if (error) return InvalidArgument(folder + ": " + error.message());
  if (!is_folder) return InvalidArgument(folder + " is no folder");
  if (!std::filesystem::is_empty(path, error)) {
    return InvalidArgument(folder + (error ? ": " + error.message() : " is not empty"));
  }
  return path.string();
}

class FuseMount {
 public:
  FuseMount(MountFolder& folder, const std::atomic<bool>* cancel)
      : state_{.folder = folder, .mutex = {}, .open = {}}, cancel_(cancel) {}
  FuseMount(const FuseMount&) = delete;
  FuseMount& operator=(const FuseMount&) = delete;
  ~FuseMount() {
    if (session_ == nullptr) return;
    if (mounted_) fuse_session_unmount(session_);
    fuse_session_destroy(session_);
  }

  Status Mount(const std::string& path) {
    fuse_set_log_func(TakeLog);
    char name[] = "kcoredump";
    char option[] = "-o";
    std::string options = kMountOptions;
    char* words[] = {name, option, options.data()};
    fuse_args arguments = FUSE_ARGS_INIT(3, words);
    session_ = fuse_session_new(&arguments, &kOperations, sizeof(kOperations), &state_);
    fuse_opt_free_args(&arguments);
    if (session_ == nullptr) return Failure("FUSE");
    if (fuse_session_mount(session_, path.c_str()) != 0) return Failure(path);
    mounted_ = true;
    const int fd = fuse_session_fd(session_);
    // Who waits for a request must notice a cancellation.
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) return SystemError(path, errno);
    return {};
  }

  /// Until it is cancelled or unmounted.
  void Serve() {
    const unsigned count = std::clamp(2 * UsableCpus(), kFewestThreads, kMostThreads);
    std::vector<std::jthread> threads;
    for (unsigned i = 1; i < count; ++i) {
      try {
        threads.emplace_back([this] { Work(); });
      } catch (const std::system_error&) {
        break;  // fewer will do
      }
    }
    Work();
  }

 private:
  [[nodiscard]] static Error Failure(const std::string& what) {
    const std::lock_guard lock(g_said_mutex);
    return MakeError(
        ErrorCode::kPermission,
        what + " cannot be mounted" + (g_said.empty() ? "" : ": " + g_said) +
            (HaveFusermount() ? "" : "; it takes CAP_SYS_ADMIN, or fusermount3 (package fuse3)"));
  }

  [[nodiscard]] bool done() const {
    return fuse_session_exited(session_) != 0 || (cancel_ != nullptr && cancel_->load());
  }

  /// The next request; 0: there will be none. One thread waits for it at a time: a request that
  /// woke all would cost more than it takes to answer.
  [[nodiscard]] int Receive(fuse_buf& request) {
    const std::lock_guard lock(turn_);
    while (!done()) {
      const int count = fuse_session_receive_buf(session_, &request);
      if (count != -EAGAIN && count != -EINTR) return count;
      pollfd wait{.fd = fuse_session_fd(session_), .events = POLLIN, .revents = 0};
      poll(&wait, 1, kCancelPollMs);
    }
    return 0;
  }

  void Work() {
    fuse_buf request{};
    for (int count = Receive(request); count > 0; count = Receive(request)) {
      fuse_session_process_buf(session_, &request);
    }
    fuse_session_exit(session_);
    std::free(request.mem);
  }

  MountState state_;
  const std::atomic<bool>* cancel_;
  fuse_session* session_ = nullptr;
  bool mounted_ = false;
  std::mutex turn_;
};

}  // namespace

Status Mount(const std::string& path, const MountOptions& options) {
  KCD_TRY(CheckFuse());
  KCD_ASSIGN(const std::string where, CheckFolder(options.folder));
  std::mutex mutex;
  const auto tell = [&](MountEvent::Kind kind, const std::string& text) {
    const std::lock_guard lock(mutex);
    if (options.on_event) options.on_event({.kind = kind, .text = text});
  };
  KCD_ASSIGN(const auto folder,
             MountFolder::Open(path, options.arguments, [&](const std::string& note) {
               tell(MountEvent::Kind::kNote, note);
             }));
  {
    FuseMount mount(*folder, options.cancel);
    KCD_TRY(mount.Mount(where));
    tell(MountEvent::Kind::kReady, where);
    mount.Serve();
  }
  tell(MountEvent::Kind::kGone, where);
  return {};
}

}  // namespace kcoredump
