// SPDX-License-Identifier: MIT
#include "format/registry.h"

#include <sys/stat.h>

#include <array>
#include <cerrno>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/try.h"
#include "base/zero.h"
#include "format/avml/reader.h"
#include "format/avml/writer.h"
#include "format/elf/reader.h"
#include "format/elf/writer.h"
#include "format/flattened/format.h"
#include "format/flattened/reader.h"
#include "format/kdump/format.h"
#include "format/kdump/reader.h"
#include "format/kdump/writer.h"
#include "format/lime/reader.h"
#include "format/lime/writer.h"
#include "format/raw/format.h"
#include "format/raw/reader.h"
#include "format/raw/writer.h"
#include "format/snapshot/reader.h"
#include "format/snapshot/writer.h"
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

/// Whoever put the ranges beside a file said what it is, whatever it begins with.
bool LooksLikeRaw(const std::string& path, std::span<const std::byte> /*head*/) {
  return HasRawSidecar(path);
}

bool LooksLikeZstd(const std::string& /*path*/, std::span<const std::byte> head) {
  return LooksLikeSnapshot(head);
}

bool LooksLikeElf(const std::string& /*path*/, std::span<const std::byte> head) {
  return StartsWith(head, "\177ELF");
}

bool LooksLikeKdump(const std::string& /*path*/, std::span<const std::byte> head) {
  return StartsWith(head, kKdumpSignature);
}

bool LooksFlattened(const std::string& /*path*/, std::span<const std::byte> head) {
  return StartsWith(head, {kFlattenedSignature, sizeof(kFlattenedSignature)});
}

bool LooksLikeLime(const std::string& /*path*/, std::span<const std::byte> head) {
  return StartsWith(head, "EMiL");
}

bool LooksLikeAvml(const std::string& /*path*/, std::span<const std::byte> head) {
  return StartsWith(head, "AVML");
}

constexpr std::array kFormats = {
    Format{.name = "kcore", .probe = LooksLikeKcore, .open = KcoreSource::Open},
    Format{.name = "raw", .probe = LooksLikeRaw, .open = OpenRaw, .writing = &kRawWriting},
    Format{.name = "snapshot",
           .probe = LooksLikeZstd,
           .open = SnapshotSource::Open,
           .writing = &kSnapshotWriting},
    Format{.name = "elf", .probe = LooksLikeElf, .open = OpenElfCore, .writing = &kElfWriting},
    Format{.name = "kdump", .probe = LooksLikeKdump, .open = OpenKdump, .writing = &kKdumpWriting},
    Format{.name = "flattened",
           .probe = LooksFlattened,
           .open = OpenFlattened,
           .writing = &kFlattenedWriting},
    Format{.name = "lime", .probe = LooksLikeLime, .open = OpenLime, .writing = &kLimeWriting},
    Format{.name = "avml", .probe = LooksLikeAvml, .open = OpenAvml, .writing = &kAvmlWriting},
};

/// Formats that are known by sight but not read, with what helps.
struct Stranger {
  std::string_view magic;
  std::string_view name;
};
constexpr std::string_view kXzMagic(
    "\xfd"
    "7zXZ\0",
    6);
constexpr std::array kStrangers = {
    Stranger{.magic = "DISKDUMP", .name = "a diskdump file of a kernel before kdump"},
    Stranger{.magic = "\x1f\x8b",
             .name = "a gzip file; unpack it with gunzip, and open the result"},
    Stranger{.magic = kXzMagic, .name = "an xz file; unpack it with unxz, and open the result"},
    Stranger{.magic = "BZh", .name = "a bzip2 file; unpack it with bunzip2, and open the result"},
    Stranger{.magic = "\x04\x22\x4d\x18",
             .name = "an lz4 file; unpack it with lz4 -d, and open the result"},
    Stranger{.magic = "PK\x03\x04",
             .name = "a zip file; unpack it with unzip, and open the result"},
    Stranger{.magic = "\x78\x01",
             .name = "perhaps a LiME file with compress=1 (a zlib stream); unpack it first"},
    Stranger{.magic = "\x78\x9c",
             .name = "perhaps a LiME file with compress=1 (a zlib stream); unpack it first"},
    Stranger{.magic = "\x78\xda",
             .name = "perhaps a LiME file with compress=1 (a zlib stream); unpack it first"},
    Stranger{.magic = kNoticeStart,
             .name = "an incremental snapshot that zstd unpacked, without what its base has; open "
                     "the packed one"},
    Stranger{.magic = "PAGEDU", .name = "a Windows crash dump"},
    Stranger{
        .magic = "QFI\xfb",
        .name = "a qcow2 disk image, which holds a disk; QEMU's dump-guest-memory writes memory"},
    Stranger{.magic = "KDMV", .name = "a VMware disk image, which holds a disk"},
    Stranger{.magic = "# Disk DescriptorFile", .name = "a VMware disk image, which holds a disk"},
    Stranger{.magic = "\xd2\xbe\xd2\xbe",
             .name = "a VMware snapshot (.vmss, .vmsn); vmss2core makes an ELF core of it"},
    Stranger{.magic = "\xd1\xbe\xd2\xbe",
             .name = "a VMware snapshot (.vmss, .vmsn); vmss2core makes an ELF core of it"},
    Stranger{.magic = "LibvirtQemudSave",
             .name = "a libvirt saved guest; virsh dump --memory-only writes an ELF core"},
    Stranger{.magic = "QEVM",
             .name = "a QEMU migration stream; dump-guest-memory writes an ELF core"},
};

constexpr std::string_view kWhatIsRead =
    "this program reads snapshots, ELF cores (/proc/vmcore, makedumpfile -E, QEMU's "
    "dump-guest-memory), kdump and flattened kdump, LiME and AVML files";

std::string Describe(const std::string& path, std::span<const std::byte> head) {
  if (head.empty()) return "an empty file";
  for (const Stranger& stranger : kStrangers) {
    if (StartsWith(head, stranger.magic)) return std::string(stranger.name);
  }
  // Pages of memory have no header: without the ranges beside them nothing tells them from noise.
  return std::string(IsZero(head) ? "a file that begins with zeros" : "of no known format") +
         "; if it is raw memory, put its ranges beside it, in " + path + kRawSidecarSuffix;
}

}  // namespace

std::span<const Format> Formats() { return kFormats; }

Result<const Format*> FindWritableFormat(std::string_view name) {
  std::string names;
  for (const Format& format : kFormats) {
    if (format.writing == nullptr) continue;
    if (format.name == name) return &format;
    names += (names.empty() ? "" : ", ") + std::string(format.name);
  }
  return MakeError(ErrorCode::kInvalidArgument,
                   "no format \"" + std::string(name) + "\" to write; there are: " + names);
}

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
                   path + " is " + Describe(path, head) + " (" + std::string(kWhatIsRead) + ")");
}

Result<std::unique_ptr<MemorySource>> OpenSource(const std::string& path) {
  KCD_ASSIGN(const Format* format, DetectFormat(path));
  return format->open(path);
}

}  // namespace kcoredump
