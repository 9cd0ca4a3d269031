// SPDX-License-Identifier: MIT
#include "inspect/evidence.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/file.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxTextBytes = 256 << 20;
constexpr size_t kMaxBtfBytes = 64 << 20;
constexpr size_t kMaxBtfFiles = 16384;
constexpr char kBtfDirectory[] = "/sys/kernel/btf";
constexpr std::string_view kKernelBtfName = "vmlinux";

/// The live counterpart of a note, beside kcore; empty: none.
std::string_view FileNameOf(NoteType type) {
  switch (type) {
    case NoteType::kKallsyms:
      return "kallsyms";
    case NoteType::kVmallocinfo:
      return "vmallocinfo";
    default:
      return {};
  }
}

}  // namespace

void Evidence::LoadNotes() {
  if (notes_loaded_) return;
  notes_loaded_ = true;
  auto segment = source_.VendorNotes();
  if (segment.ok()) {
    segment_ = std::move(segment.value());
    auto parsed = segment_.Parse();
    if (parsed.ok()) {
      notes_ = std::move(parsed.value());
      return;
    }
    trouble_ = parsed.error().message;
  } else {
    trouble_ = segment.error().message;
  }
  trouble_ = "the snapshot's own notes cannot be read: " + trouble_;
}

std::string_view Evidence::Text(NoteType type) {
  if (source_.kind() != SourceKind::kLive) {
    LoadNotes();
    for (const Note& note : notes_) {
      if (note.owner == kNoteOwner && note.type == static_cast<uint32_t>(type)) {
        return AsText(note.data);
      }
    }
    return {};
  }
  for (const auto& [kept, text] : texts_) {
    if (kept == type) return text;
  }
  const auto path = std::filesystem::path(source_.path()).parent_path() / FileNameOf(type);
  auto text = ReadTextFile(path.string(), kMaxTextBytes);
  texts_.reserve(8);  // views into the strings must stay
  texts_.emplace_back(type, text.ok() ? std::move(text.value()) : std::string());
  return texts_.back().second;
}

void Evidence::LoadBtf() {
  if (btf_loaded_) return;
  btf_loaded_ = true;
  source_.kind() == SourceKind::kLive ? LoadLiveBtf() : LoadBtfNotes();
  // Modules' types build on the kernel's.
  std::stable_partition(btf_.begin(), btf_.end(),
                        [](const ModuleBtf& btf) { return btf.name == kKernelBtfName; });
}

void Evidence::LoadLiveBtf() {
  std::error_code error;
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kBtfDirectory, error)) {
    if (names.size() == kMaxBtfFiles) break;
    names.push_back(entry.path().filename().string());
  }
  live_blobs_.reserve(names.size());
  for (const std::string& name : names) {
    std::vector<std::byte> blob;
    if (!AppendFile(std::string(kBtfDirectory) + "/" + name, kMaxBtfBytes, blob).ok()) continue;
    live_blobs_.push_back(std::move(blob));
    btf_.push_back({.name = name, .blob = live_blobs_.back()});
  }
}

void Evidence::LoadBtfNotes() {
  LoadNotes();
  for (const Note& note : notes_) {
    if (note.owner != kNoteOwner || note.type != static_cast<uint32_t>(NoteType::kBtf)) continue;
    const std::string_view text = AsText(note.data);
    const size_t name_bytes = text.find('\0');
    if (name_bytes == std::string_view::npos) continue;
    const uint64_t start = AlignUp(name_bytes + 1, 8);
    if (start > note.data.size()) continue;
    btf_.push_back(
        {.name = std::string(text.substr(0, name_bytes)), .blob = note.data.subspan(start)});
  }
}

std::span<const std::byte> Evidence::KernelBtf() {
  LoadBtf();
  if (btf_.empty() || btf_.front().name != kKernelBtfName) return {};
  return btf_.front().blob;
}

std::vector<ModuleBtf> Evidence::ModulesBtf() {
  LoadBtf();
  std::vector<ModuleBtf> modules;
  for (const ModuleBtf& btf : btf_) {
    if (btf.name != kKernelBtfName) modules.push_back(btf);
  }
  return modules;
}

}  // namespace kcoredump
