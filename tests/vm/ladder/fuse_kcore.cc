// SPDX-License-Identifier: MIT
#define FUSE_USE_VERSION 35
#include "fuse_kcore.h"

#include <elf.h>
#include <fuse.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "elf/elf_core.h"

namespace kcoredump::test {

namespace {

constexpr uint64_t kDataOffset = 4096;
constexpr size_t kShortBytes = 1000;

const std::vector<unsigned char>& Image() {
  static const std::vector<unsigned char> image = [] {
    const ProgramHeader load{.type = PT_LOAD,
                             .flags = PF_R,
                             .offset = kDataOffset,
                             .vaddr = 0xffff888000000000 + kFusePhys,
                             .paddr = kFusePhys,
                             .filesz = kFusePages * kFusePageBytes,
                             .memsz = kFusePages * kFusePageBytes};
    const auto head = BuildElfHead(EM_X86_64, {load});
    std::vector<unsigned char> bytes(kDataOffset + load.filesz);
    std::memcpy(bytes.data(), head.data(), head.size());
    for (uint64_t page = 0; page < kFusePages; ++page) {
      std::memset(bytes.data() + kDataOffset + page * kFusePageBytes, FuseByte(page),
                  kFusePageBytes);
    }
    return bytes;
  }();
  return image;
}

int GetAttributes(const char* path, struct stat* info, fuse_file_info* /*file*/) {
  *info = {};
  const bool root = std::strcmp(path, "/") == 0;
  if (std::strchr(path, '.') != nullptr) return -ENOENT;  // no companion of a file is here
  info->st_mode = root ? S_IFDIR | 0700 : S_IFREG | 0400;
  info->st_nlink = 1;
  info->st_size = root ? 0 : static_cast<off_t>(Image().size());
  return 0;
}

int Open(const char* /*path*/, fuse_file_info* file) {
  file->direct_io = 1;  // errors and short answers reach the reader as they are
  return 0;
}

bool TouchesBadPages(uint64_t offset, size_t bytes) {
  const uint64_t first = kDataOffset + kFirstBadPage * kFusePageBytes;
  return offset < first + kBadPages * kFusePageBytes && offset + bytes > first;
}

/// Whether a read of these bytes of the file returns at all.
bool Returns(const char* path, bool bad) {
  static std::atomic<bool> late{false};
  if (std::strcmp(path, "/mute") == 0) return false;
  if (std::strcmp(path, "/never") == 0) return !bad;
  if (std::strcmp(path, "/late") != 0) return true;
  if (bad) late = true;
  return !late;
}

int Read(const char* path, char* out, size_t bytes, off_t at, fuse_file_info* /*file*/) {
  const auto offset = static_cast<uint64_t>(at);
  if (offset >= Image().size()) return 0;
  bytes = std::min<size_t>(bytes, Image().size() - offset);
  const bool bad = TouchesBadPages(offset, bytes);
  while (!Returns(path, bad)) pause();
  if (bad && std::strcmp(path, "/eio") == 0) return -EIO;
  if (std::strcmp(path, "/short") == 0) bytes = std::min(bytes, kShortBytes);
  std::memcpy(out, Image().data() + offset, bytes);
  return static_cast<int>(bytes);
}

[[noreturn]] void Serve(const std::string& folder) {
  fuse_operations operations{};
  operations.getattr = GetAttributes;
  operations.open = Open;
  operations.read = Read;
  std::string name = "fuse_kcore";
  std::string foreground = "-f";
  std::string target = folder;
  std::vector<char*> arguments = {name.data(), foreground.data(), target.data()};
  _exit(fuse_main(static_cast<int>(arguments.size()), arguments.data(), &operations, nullptr));
}

}  // namespace

FuseKcore::FuseKcore() {
  std::string pattern = "/tmp/fuse-kcore-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) return;
  folder_ = pattern;
  server_ = fork();
  if (server_ == 0) Serve(folder_);
  for (int attempt = 0; attempt < 200 && !mounted_; ++attempt) {
    usleep(20'000);
    mounted_ = access(File("good").c_str(), R_OK) == 0;
  }
}

FuseKcore::~FuseKcore() {
  if (server_ > 0) {
    kill(server_, SIGKILL);
    waitpid(server_, nullptr, 0);
  }
  umount2(folder_.c_str(), MNT_DETACH);
  rmdir(folder_.c_str());
}

}  // namespace kcoredump::test
