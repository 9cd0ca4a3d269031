// SPDX-License-Identifier: MIT
//
// kcd_open and what an image tells of itself.
#include <fcntl.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "abi/handles.h"
#include "base/file.h"
#include "base/try.h"
#include "format/registry.h"
#include "inspect/describe.h"
#include "inspect/session.h"
#include "kcoredump/inspect.h"
#include "kcoredump/version.h"

namespace kcoredump::abi {

namespace {

/// A later chdir must not lead elsewhere.
std::string WholePath(const std::string& path) {
  std::error_code failed;
  const auto whole = std::filesystem::absolute(path, failed);
  return failed ? path : whole.string();
}

/// The name of an open file, beside which may be more of it, or /proc/self/fd/N when it has none.
std::string PathOf(int fd) {
  const std::string path = PathOfDescriptor(fd);
  return path.empty() ? "/proc/self/fd/" + std::to_string(fd) : path;
}

Status Open(const std::string& path, kcd_image** image, UniqueFd fd = UniqueFd()) {
  KCD_ASSIGN(const Format* format, DetectFormat(path));
  KCD_ASSIGN(Kernel kernel, Kernel::Open(path));
  *image = std::make_unique<kcd_image>(std::move(kernel), format, WholePath(path), std::move(fd))
               .release();
  return {};
}

const MemoryMap& MapOf(const kcd_image* image) { return image->kernel.session().source().map(); }

/// RAM first, then what is not RAM.
const Segment* SegmentAt(const kcd_image* image, size_t index) {
  const auto& ram = MapOf(image).ram();
  const auto& others = MapOf(image).others();
  if (index < ram.size()) return &ram[index];
  return index - ram.size() < others.size() ? &others[index - ram.size()] : nullptr;
}

}  // namespace

}  // namespace kcoredump::abi

using namespace kcoredump;
using abi::Guarded;
using abi::NullArgument;

const char* kcd_version(void) { return kVersion; }

int kcd_abi_version(void) { return KCD_ABI_VERSION; }

int kcd_open(const char* path, kcd_image** image, kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (path == nullptr || image == nullptr)
      return NullArgument(image == nullptr ? "image" : "path");
    *image = nullptr;
    return abi::Open(path, image);
  });
}

int kcd_open_fd(int fd, kcd_image** image, kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (image == nullptr) return NullArgument("image");
    *image = nullptr;
    UniqueFd kept(fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!kept.valid() && errno == EBADF) {
      return InvalidArgument("fd " + std::to_string(fd) + " is not open");
    }
    if (!kept.valid()) return SystemError("fd " + std::to_string(fd), errno);
    const std::string path = abi::PathOf(kept.get());
    return abi::Open(path, image, std::move(kept));
  });
}

int kcd_open_live(kcd_image** image, kcd_error* error) {
  return kcd_open(DefaultSource(), image, error);
}

void kcd_image_free(kcd_image* image) { delete image; }

uint64_t kcd_page_bytes(const kcd_image* image) {
  return image == nullptr ? 0 : image->kernel.session().source().page_bytes();
}

int kcd_info_json(kcd_image* image, char** json, kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (image == nullptr || json == nullptr) return NullArgument("image or json");
    *json = nullptr;
    const std::lock_guard hold(image->lock);
    KCD_ASSIGN(const ImageInfo info,
               DescribeSource(image->kernel.session().source(), *image->format, image->path));
    *json = abi::CopyText(ToJson(info));
    return {};
  });
}

int kcd_vmcoreinfo(kcd_image* image, char** text, kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (image == nullptr || text == nullptr) return NullArgument("image or text");
    const std::string found = VmcoreinfoText(image->kernel.session().source());
    *text = found.empty() ? nullptr : abi::CopyText(found);
    return {};
  });
}

int kcd_caveats(kcd_image* image, char** lines, kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (image == nullptr || lines == nullptr) return NullArgument("image or lines");
    const std::lock_guard hold(image->lock);
    *lines = abi::CopyText(abi::Lines(image->kernel.Caveats()));
    return {};
  });
}

void kcd_string_free(char* text) { std::free(text); }

size_t kcd_segment_count(const kcd_image* image) {
  if (image == nullptr) return 0;
  return abi::MapOf(image).ram().size() + abi::MapOf(image).others().size();
}

int kcd_segment_get(const kcd_image* image, size_t index, kcd_segment* segment, kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (image == nullptr) return NullArgument("image");
    const Segment* found = abi::SegmentAt(image, index);
    if (found == nullptr) return MakeError(ErrorCode::kInvalidArgument, "no such segment");
    const bool has_phys =
        found->kind == SegmentKind::kRam || found->kind == SegmentKind::kKernelImage;
    return abi::FillStruct(segment,
                           {.size = 0,
                            .virt = found->virt.begin,
                            .phys = has_phys ? found->phys : KCD_NO_ADDRESS,
                            .bytes = found->virt.size(),
                            .kind = SegmentKindName(found->kind).data()},
                           "segment");
  });
}
