// SPDX-License-Identifier: MIT
#include "format/registry.h"

#include <sys/stat.h>

#include <array>
#include <cerrno>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/try.h"
#include "format/elf/reader.h"
#include "format/snapshot/reader.h"
#include "source/kcore_source.h"

namespace kcoredump {

namespace {

constexpr size_t kProbeBytes = 64;

bool StartsWith(std::span<const std::byte> head, std::string_view magic) {
  return AsText(head).starts_with(magic);
}

bool LooksLikeKcore(const std::string& path, std::span<const std::byte> /*head*/) {
  return KcoreSource::IsKcore(path);
}

bool LooksLikeElf(const std::string& /*path*/, std::span<const std::byte> head) {
  return StartsWith(head, "\177ELF");
}

bool LooksLikeZstd(const std::string& /*path*/, std::span<const std::byte> head) {
  return StartsWith(head, "\x28\xb5\x2f\xfd");
}

constexpr std::array kFormats = {
    Format{.name = "kcore", .probe = LooksLikeKcore, .open = KcoreSource::Open},
    Format{.name = "snapshot", .probe = LooksLikeZstd, .open = SnapshotSource::Open},
    Format{.name = "elf", .probe = LooksLikeElf, .open = OpenElfCore},
};

/// Formats that are known by sight but not read, with what helps.
struct Stranger {
  std::string_view magic;
  std::string_view name;
};
constexpr std::array kStrangers = {
    Stranger{.magic = "KDUMP   ", .name = "a kdump-compressed (diskdump) file"},
    Stranger{.magic = "makedumpfile", .name = "a flattened kdump file (makedumpfile -F)"},
    Stranger{.magic = "EMiL", .name = "a LiME or AVML file"},
    Stranger{.magic = "AVML", .name = "an AVML file"},
    Stranger{.magic = "\x1f\x8b", .name = "a gzip file; unpack it first with gunzip"},
    Stranger{.magic = std::string_view("\xfd"
                                       "7zXZ\0",
                                       6),
             .name = "an xz file; unpack it first with unxz"},
};

std::string Describe(std::span<const std::byte> head) {
  if (head.empty()) return "an empty file";
  for (const Stranger& stranger : kStrangers) {
    if (StartsWith(head, stranger.magic)) return std::string(stranger.name);
  }
  return "neither a snapshot (zstd) nor an ELF core";
}

}  // namespace

Result<const Format*> DetectFormat(const std::string& path) {
  std::array<std::byte, kProbeBytes> bytes{};
  std::span<const std::byte> head;
  // kcore is known by its name: that it cannot be opened is for its own room to explain.
  if (!KcoreSource::IsKcore(path)) {
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) return SystemError(path, errno);
    if (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode)) {
      return MakeError(ErrorCode::kUnsupported, path + " is not a regular file");
    }
    KCD_ASSIGN(const UniqueFd fd, OpenForReading(path));
    auto count = PreadUpTo(fd.get(), bytes, 0);
    if (!count.ok()) return std::move(count.error()).WithContext(path);
    head = std::span<const std::byte>(bytes).first(count.value());
  }
  for (const Format& format : kFormats) {
    if (format.probe(path, head)) return &format;
  }
  return MakeError(ErrorCode::kUnsupported,
                   path + " is " + Describe(head) + ", which this program does not read");
}

Result<std::unique_ptr<MemorySource>> OpenSource(const std::string& path) {
  KCD_ASSIGN(const Format* format, DetectFormat(path));
  return format->open(path);
}

}  // namespace kcoredump
