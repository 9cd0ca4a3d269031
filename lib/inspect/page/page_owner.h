// SPDX-License-Identifier: MIT
//
// What page.mapping leads to: the file, or the processes that have the page mapped (kernel:
// mm/rmap.c).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "inspect/file/file_path.h"
#include "inspect/task/tasks.h"
#include "kcoredump/mounts.h"
#include "kcoredump/pages.h"
#include "symbol/record.h"

namespace kcoredump {

/// Where a process, by the virtual address of its root table, has an address. Nothing: not mapped.
using ProcessTranslate =
    std::function<std::optional<uint64_t>(uint64_t pgd, uint64_t virtual_address)>;

/// For one answer and one thread. Remembers processes, files and mappings. `sources` must outlive
/// it.
class PageOwnerReader {
 public:
  /// kNotFound names a member that this kernel lacks.
  [[nodiscard]] static Result<PageOwnerReader> Create(const TaskSources& sources,
                                                      ProcessTranslate translate,
                                                      Findings& findings);

  /// `address_space`: a page's mapping without its lowest bits; `index`: of the page in it.
  [[nodiscard]] Result<PageFile> FileAt(uint64_t address_space, uint64_t index);
  /// The processes whose page tables lead to the page at `physical`, at most kMaxPageMappers.
  /// `anon_vma`, or `address_space` of a file: what the mapping is.
  [[nodiscard]] std::vector<PageMapper> AnonymousMappers(uint64_t anon_vma, uint64_t index,
                                                         uint64_t physical);
  [[nodiscard]] std::vector<PageMapper> FileMappers(uint64_t address_space, uint64_t index,
                                                    uint64_t physical);

 private:
  /// A process's memory.
  struct Owner {
    uint32_t pid = 0;
    std::string comm;
    uint64_t pgd = 0;
  };
  struct Vma {
    uint64_t mm = 0;
    uint64_t start = 0;
    uint64_t end = 0;
    uint64_t page_offset = 0;
  };
  PageOwnerReader(const TaskSources& sources, ProcessTranslate translate, Findings& findings,
                  PathReader paths)
      : sources_(sources),
        translate_(std::move(translate)),
        findings_(findings),
        paths_(std::move(paths)) {}
  [[nodiscard]] Status FindFields();
  void LoadOwners();
  void LoadMounts();
  [[nodiscard]] const std::vector<Vma>& VmasOf(uint64_t root, bool anonymous);
  [[nodiscard]] std::optional<Vma> ReadVma(uint64_t address);
  [[nodiscard]] std::vector<PageMapper> Mappers(const std::vector<Vma>& vmas, uint64_t index,
                                                uint64_t physical);
  [[nodiscard]] std::string WithMount(const PageFile& file, const std::string& path);

  const TaskSources& sources_;
  ProcessTranslate translate_;
  Findings& findings_;
  PathReader paths_;
  Field host_, file_vmas_;  ///< of address_space
  Field first_alias_, inode_number_, inode_super_, super_device_, alias_;
  Field anon_vmas_, chain_vma_, chain_node_;                    ///< of anon_vma, anon_vma_chain
  Field vma_mm_, vma_start_, vma_end_, vma_offset_, vma_node_;  ///< of vm_area_struct
  uint64_t vma_bytes_ = 0;
  Field pgd_;  ///< of mm_struct
  bool owners_loaded_ = false;
  std::unordered_map<uint64_t, Owner> owners_;  ///< by mm_struct
  bool mounts_loaded_ = false;
  std::vector<MountInfo> mounts_;
  std::unordered_map<uint64_t, Result<PageFile>> files_;  ///< by address_space, without offset
  std::unordered_map<uint64_t, std::vector<Vma>> vmas_;   ///< by the address of the tree
};

}  // namespace kcoredump
