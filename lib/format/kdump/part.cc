// SPDX-License-Identifier: MIT
#include "format/kdump/part.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/try.h"
#include "format/kdump/bitmap.h"

namespace kcoredump {

namespace {

/// Whether the headers differ in nothing but where a part's pages and notes are.
bool SameDump(const KdumpPart& a, const KdumpPart& b) {
  KdumpSubHeader left = a.sub_header;
  KdumpSubHeader right = b.sub_header;
  for (KdumpSubHeader* header : {&left, &right}) {
    header->start_pfn = header->end_pfn = header->start_pfn_64 = header->end_pfn_64 = 0;
    header->offset_vmcoreinfo = header->offset_note = 0;
    header->offset_eraseinfo = header->size_eraseinfo = 0;
  }
  return std::memcmp(&a.header, &b.header, sizeof(a.header)) == 0 &&
         std::memcmp(&left, &right, sizeof(left)) == 0;
}

/// A kdump file of that name; nothing: it is something else, or cannot be read.
std::optional<KdumpPart> PartAt(const std::string& path) {
  struct stat info {};
  // Opening a pipe or a device might wait for ever.
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  const auto file = OpenInputFile(path);
  if (!file.ok()) return std::nullopt;
  auto part = ReadKdumpPart(file.value());
  if (!part.ok()) return std::nullopt;
  return std::move(part.value());
}

std::vector<std::string> NamesBeside(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder.empty() ? "." : folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (names.size() == kMaxSiblings) break;
    const std::filesystem::path name = entry->path().filename();
    names.push_back(folder.empty() ? name.string() : (folder / name).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool Overlap(const KdumpPart& a, const KdumpPart& b) {
  return a.layout.start_pfn < b.layout.end_pfn && b.layout.start_pfn < a.layout.end_pfn;
}

}  // namespace

Result<KdumpPart> ReadKdumpPart(const InputFile& file) {
  KdumpPart part;
  part.file = file;
  const auto read = [&](uint64_t offset, auto& header) {
    return file.ReadExactly(offset, std::as_writable_bytes(std::span(&header, 1)));
  };
  if (Status status = read(0, part.header); !status.ok()) {
    return std::move(status.error()).WithContext("the kdump header");
  }
  KCD_ASSIGN(const uint64_t block_bytes, CheckKdumpHeader(part.header));
  if (Status status = read(block_bytes, part.sub_header); !status.ok()) {
    return std::move(status.error()).WithContext("the kdump sub header");
  }
  KCD_ASSIGN(part.layout, DecodeKdumpLayout(part.header, part.sub_header));
  return part;
}

std::vector<KdumpPart> GatherKdumpSet(KdumpPart part) {
  std::vector<KdumpPart> parts;
  parts.push_back(std::move(part));
  const KdumpPart first = parts.front();
  if (!first.layout.split) return parts;
  const auto hash = HashBitmaps(first.file, first.layout);
  if (!hash.ok()) return parts;
  for (const std::string& path : NamesBeside(first.file.path)) {
    auto other = PartAt(path);
    // Copies of a part, the one that was named among them, bring nothing new, nor do empty parts.
    if (!other || !SameDump(first, *other) || other->layout.start_pfn == other->layout.end_pfn ||
        std::any_of(parts.begin(), parts.end(),
                    [&](const KdumpPart& kept) { return Overlap(kept, *other); })) {
      continue;
    }
    const auto other_hash = HashBitmaps(other->file, other->layout);
    if (other_hash.ok() && other_hash.value() == hash.value()) parts.push_back(std::move(*other));
  }
  std::sort(parts.begin(), parts.end(), [](const KdumpPart& a, const KdumpPart& b) {
    return std::pair(a.layout.start_pfn, a.layout.end_pfn) <
           std::pair(b.layout.start_pfn, b.layout.end_pfn);
  });
  return parts;
}

}  // namespace kcoredump
