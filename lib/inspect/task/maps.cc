// SPDX-License-Identifier: MIT
//
// vm_area_structs: on a list up to 6.0, in a maple tree since (763ecb035029). What is told of each,
// and when, is fs/proc/task_mmu.c's show_map_vma.
#include "inspect/task/maps.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/try.h"
#include "inspect/ask_again.h"
#include "inspect/file/open_file.h"
#include "kcoredump/text.h"
#include "symbol/chain_walk.h"
#include "symbol/maple_walk.h"
#include "symbol/record.h"

namespace kcoredump {

namespace {

// Kernel: include/linux/mm.h.
constexpr uint64_t kVmRead = 0x1;
constexpr uint64_t kVmWrite = 0x2;
constexpr uint64_t kVmExec = 0x4;
constexpr uint64_t kVmMayShare = 0x80;

constexpr size_t kMaxMappingNameBytes = 256;
class MapReader {
 public:
  [[nodiscard]] static Result<MapReader> Create(const TaskSources& sources, MappingList& out);

  void Walk(uint64_t mm);
  /// The page of the kernel's at a fixed address that every process sees.
  void AddGate();

 private:
  MapReader(const TaskSources& sources, MappingList& out, Layout vma, Layout mm)
      : sources_(sources), out_(out), vma_layout_(std::move(vma)), mm_layout_(std::move(mm)) {}
  [[nodiscard]] Status FindFields();
  void FindNames();
  [[nodiscard]] Status WalkTree(uint64_t mm);
  void WalkOldList(uint64_t first);
  void Keep(const Record& vma);
  [[nodiscard]] Mapping Describe(const Record& vma);
  void DescribeFile(const Record& vma, Mapping& mapping);
  [[nodiscard]] std::string NameWithoutFile(const Record& vma, const Mapping& mapping);
  [[nodiscard]] std::string GivenName(const Record& vma, const char* kind);

  const TaskSources& sources_;
  MappingList& out_;
  Layout vma_layout_;
  Layout mm_layout_;
  std::optional<OpenFileReader> files_;
  Record mm_;
  Field tree_, first_;                                ///< of mm_struct
  Field start_brk_, brk_, start_stack_;               ///< of mm_struct
  Field start_, end_, flags_, offset_, file_, next_;  ///< of vm_area_struct
  Field operations_, private_, given_name_;           ///< of vm_area_struct
  bool name_shares_space_ = false;                    ///< given_name_ is one of a union's members
  Field given_text_;                                  ///< of anon_vma_name
  Field special_name_;                                ///< of vm_special_mapping
  std::optional<uint64_t> special_operations_;
};

Result<MapReader> MapReader::Create(const TaskSources& sources, MappingList& out) {
  KCD_ASSIGN(Layout vma, Layout::Of(sources.types, "struct vm_area_struct"));
  KCD_ASSIGN(Layout mm, Layout::Of(sources.types, "struct mm_struct"));
  MapReader reader(sources, out, std::move(vma), std::move(mm));
  auto files = OpenFileReader::Create(sources);
  if (files.ok()) {
    reader.files_.emplace(std::move(files.value()));
  } else {
    out.findings.Add(files.error().message + ": names of files are not known");
  }
  KCD_TRY(reader.FindFields());
  reader.FindNames();
  return reader;
}

Status MapReader::FindFields() {
  tree_ = mm_layout_.Find("mm_mt");
  if (!tree_.known()) {
    KCD_ASSIGN(first_, mm_layout_.Need("mmap"));
    KCD_ASSIGN(next_, vma_layout_.Need("vm_next"));
  }
  KCD_ASSIGN(start_, vma_layout_.Need("vm_start"));
  KCD_ASSIGN(end_, vma_layout_.Need("vm_end"));
  auto& notes = out_.findings.notes;
  flags_ = vma_layout_.Find("vm_flags", "permissions are not known", notes);
  offset_ = vma_layout_.Find("vm_pgoff", "offsets in files are not known", notes);
  file_ = vma_layout_.Find("vm_file", "files are not known", notes);
  operations_ = vma_layout_.Find("vm_ops", "the kernel's own mappings have no names", notes);
  private_ = vma_layout_.Find("vm_private_data");
  start_brk_ = mm_layout_.Find("start_brk", "the heap is not known", notes);
  brk_ = mm_layout_.Find("brk", "the heap is not known", notes);
  start_stack_ = mm_layout_.Find("start_stack", "the stack is not known", notes);
  return {};
}

/// Names that a process gave (prctl PR_SET_VMA_ANON_NAME, 5.17) share their place with what files
/// have up to 6.1.
void MapReader::FindNames() {
  given_name_ = vma_layout_.Find("anon_name");
  const Field shared = vma_layout_.Find("shared");
  name_shares_space_ = given_name_.known() && shared.offset == given_name_.offset;
  const auto given = Layout::Of(sources_.types, "struct anon_vma_name");
  if (given.ok()) {
    // An array of no known length has no size.
    given_text_ = {.offset = given.value().bytes(), .bytes = 1};
  }
  const auto special = Layout::Of(sources_.types, "struct vm_special_mapping");
  if (special.ok()) special_name_ = special.value().Find("name");
  special_operations_ = sources_.symbol("special_mapping_vmops");
  if (!special_operations_) {
    out_.findings.Add("no symbol special_mapping_vmops: [vdso] and its like have no names");
  }
}

std::string MapReader::GivenName(const Record& vma, const char* kind) {
  const uint64_t name = vma.Unsigned(given_name_);
  if (name == 0 || !given_text_.known()) return {};
  const auto text = sources_.kernel.ReadString(name + given_text_.offset, kMaxMappingNameBytes);
  return text.ok() ? std::string(kind) + text.value() + "]" : std::string();
}

void MapReader::DescribeFile(const Record& vma, Mapping& mapping) {
  if (!files_) return;
  const auto file = files_->At(mapping.file);
  if (!file.ok()) {
    out_.findings.Lost("the file that is mapped at " + HexAddress(mapping.start) +
                       " cannot be read: " + file.error().message);
    return;
  }
  const OpenFileWords& words = *file.value();
  mapping.inode = words.inode_number;
  mapping.device_major = words.device.major;
  mapping.device_minor = words.device.minor;
  mapping.offset = vma.Unsigned(offset_) * sources_.page_bytes;
  if (!words.trouble.empty()) {
    out_.findings.Lost("the path of the file that is mapped at " + HexAddress(mapping.start) +
                       " cannot be had: " + words.trouble);
    return;
  }
  if (!name_shares_space_) mapping.name = GivenName(vma, "[anon_shmem:");
  if (!mapping.name.empty()) return;
  mapping.name = words.path.text;
  mapping.deleted = words.path.deleted;
}

/// The kernel's own names, then heap and stack, then what the process named.
std::string MapReader::NameWithoutFile(const Record& vma, const Mapping& mapping) {
  if (special_operations_ && vma.Unsigned(operations_) == *special_operations_ &&
      special_name_.known()) {
    const auto name =
        sources_.kernel.ReadValue<uint64_t>(vma.Unsigned(private_) + special_name_.offset);
    auto text = name.ok() ? sources_.kernel.ReadString(name.value(), kMaxMappingNameBytes)
                          : Result<std::string>(name.error());
    if (text.ok()) return std::move(text.value());
  }
  const uint64_t start_brk = mm_.Unsigned(start_brk_);
  const uint64_t brk = mm_.Unsigned(brk_);
  if (mapping.start < brk && mapping.end > start_brk) return "[heap]";
  const uint64_t stack = mm_.Unsigned(start_stack_);
  if (mapping.start <= stack && stack <= mapping.end && stack != 0) return "[stack]";
  return GivenName(vma, "[anon:");
}

Mapping MapReader::Describe(const Record& vma) {
  const uint64_t flags = vma.Unsigned(flags_);
  Mapping mapping{.start = vma.Unsigned(start_),
                  .end = vma.Unsigned(end_),
                  .readable = (flags & kVmRead) != 0,
                  .writable = (flags & kVmWrite) != 0,
                  .executable = (flags & kVmExec) != 0,
                  .shared = (flags & kVmMayShare) != 0,
                  .name = {},
                  .file = vma.Unsigned(file_),
                  .address = vma.address()};
  if (mapping.file != 0) {
    DescribeFile(vma, mapping);
  } else {
    mapping.name = NameWithoutFile(vma, mapping);
  }
  return mapping;
}

void MapReader::Keep(const Record& vma) {
  Mapping mapping = Describe(vma);
  if (mapping.end <= mapping.start) {
    out_.findings.Lost("the vm_area_struct at " + HexAddress(vma.address()) + " claims " +
                       HexAddress(mapping.start) + " to " + HexAddress(mapping.end));
    return;
  }
  out_.mappings.push_back(std::move(mapping));
}

Status MapReader::WalkTree(uint64_t mm) {
  KCD_ASSIGN(const MapleWalker walker, MapleWalker::Create(sources_.types));
  Record vma;
  const ListOutcome walk = walker.Walk(
      sources_.kernel, mm + tree_.offset, kMaxMappings, "the tree of mappings",
      [&](uint64_t first, uint64_t last, uint64_t entry) {
        const Status read = vma.Load(sources_.kernel, entry, vma_layout_.bytes());
        if (read.ok() && vma.Unsigned(start_) == first && vma.Unsigned(end_) == last + 1) {
          Keep(vma);
          return true;
        }
        out_.findings.Lost("the mapping at " + HexAddress(first) + " " +
                           (read.ok() ? "has a vm_area_struct of another"
                                      : "cannot be read: " + read.error().message));
        return true;
      });
  if (walk.lost) out_.findings.Lost(walk.note);
  return {};
}

void MapReader::WalkOldList(uint64_t first) {
  Record vma;
  const ListOutcome walk = WalkChain(
      sources_.kernel, first, next_.offset, kMaxMappings, "the list of mappings", [&](uint64_t at) {
        const Status read = vma.Load(sources_.kernel, at, vma_layout_.bytes());
        if (read.ok()) Keep(vma);
        if (!read.ok()) out_.findings.Lost("a mapping: " + read.error().message);
        return true;
      });
  if (walk.lost) out_.findings.Lost(walk.note);
}

void MapReader::Walk(uint64_t mm) {
  Status read = mm_.Load(sources_.kernel, mm, mm_layout_.bytes());
  if (read.ok() && tree_.known()) read = WalkTree(mm);
  if (!read.ok()) out_.findings.Lost("the list of mappings: " + read.error().message);
  if (read.ok() && !tree_.known()) WalkOldList(mm_.Unsigned(first_));
  AddGate();
  LimitNotes(out_.findings.notes);
}

/// Kernel: arch/x86/entry/vsyscall/vsyscall_64.c, get_gate_vma.
void MapReader::AddGate() {
  constexpr uint32_t kNoVsyscall = 2;
  const auto gate = sources_.symbol("gate_vma");
  const auto mode = sources_.symbol("vsyscall_mode");
  if (!gate || !mode) return;
  const auto mode_now = sources_.kernel.ReadValue<uint32_t>(*mode);
  Record vma;
  if (!mode_now.ok() || mode_now.value() == kNoVsyscall) return;
  if (!vma.Load(sources_.kernel, *gate, vma_layout_.bytes()).ok()) return;
  Mapping mapping = Describe(vma);
  mapping.name = "[vsyscall]";
  if (mapping.end > mapping.start) out_.mappings.push_back(std::move(mapping));
}

}  // namespace

Result<MappingList> WalkMappings(const TaskSources& sources, uint32_t pid) {
  KCD_ASSIGN(const TaskHead task, FindTask(sources, pid));
  KCD_TRY(HasMemory(task));
  MappingList list{.pid = pid, .comm = task.comm, .mappings = {}, .findings = {}};
  KCD_ASSIGN(MapReader reader, MapReader::Create(sources, list));
  reader.Walk(task.mm);
  return list;
}

Result<MappingList> ListMappings(Kernel& kernel, uint32_t pid) {
  Session& session = kernel.session();
  KCD_ASSIGN(const TaskSources sources, TaskSourcesOf(session));
  return AskAgainWhileLive(session, [&] { return WalkMappings(sources, pid); });
}

}  // namespace kcoredump
