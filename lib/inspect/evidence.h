// SPDX-License-Identifier: MIT
//
// The texts and blobs that speak of a kernel: the live system's files, or a snapshot's own notes.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "elf/elf_core.h"
#include "format/snapshot/format.h"
#include "source/memory_source.h"
#include "symbol/type_catalog.h"

namespace kcoredump {

/// For one thread. Loads what it is asked for and keeps it.
class Evidence {
 public:
  /// `source` must outlive it.
  explicit Evidence(const MemorySource& source) : source_(source) {}

  /// The text of /proc/kallsyms, /proc/vmallocinfo and the like; empty: there is none, or the
  /// machine does not let us read it. Valid as long as this object.
  [[nodiscard]] std::string_view Text(NoteType type);
  /// BTF of the kernel; empty: none. Valid as long as this object.
  [[nodiscard]] std::span<const std::byte> KernelBtf();
  [[nodiscard]] std::vector<ModuleBtf> ModulesBtf();
  /// Why notes could not be read; empty: nothing went wrong.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }

 private:
  void LoadNotes();
  void LoadBtf();
  void LoadLiveBtf();
  void LoadBtfNotes();

  const MemorySource& source_;
  std::string trouble_;
  bool notes_loaded_ = false;
  NoteSegment segment_;
  std::vector<Note> notes_;
  std::vector<std::pair<NoteType, std::string>> texts_;  ///< live files, read once
  bool btf_loaded_ = false;
  std::vector<std::vector<std::byte>> live_blobs_;
  std::vector<ModuleBtf> btf_;  ///< vmlinux first, if there is one
};

}  // namespace kcoredump
