// SPDX-License-Identifier: MIT
//
// The core's bytes come first, behind room for the headers, which are written once it is known
// what could be read.
#include "kcoredump/carve.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/output_file.h"
#include "base/try.h"
#include "inspect/task/core_notes.h"
#include "inspect/task/core_runs.h"
#include "inspect/task/maps.h"
#include "inspect/value/object_bytes.h"
#include "symbol/record.h"

namespace kcoredump {

namespace {

constexpr uint64_t kCarveStepBytes = 1 << 20;
/// Each run may break where a page cannot be read; beyond this many more, the rest of a run counts
/// as unreadable.
constexpr uint64_t kSpareHeaders = 4096;

uint64_t AlignedUp(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

class CoreWriter {
 public:
  CoreWriter(Session& session, const CarveOptions& options, ByteSink& sink, CarveReport& report)
      : session_(session), options_(options), sink_(sink), report_(report) {}

  [[nodiscard]] Status Write(const std::vector<CoreRun>& runs, const CoreNotes& notes);

 private:
  [[nodiscard]] Status CopyRun(const CoreRun& run);
  [[nodiscard]] Status CopyPiece(const CoreRun& run, const Range& virt, const ObjectBytes& bytes,
                                 const Range& piece);
  void AddLoad(const CoreRun& run, const Range& virt, bool in_file);
  [[nodiscard]] Status WriteHeaders(const CoreNotes& notes, uint64_t notes_at);
  [[nodiscard]] bool Cancelled() const {
    return options_.cancel != nullptr && options_.cancel->load();
  }

  Session& session_;
  const CarveOptions& options_;
  ByteSink& sink_;
  CarveReport& report_;
  std::vector<Elf64_Phdr> loads_;
  uint64_t most_loads_ = 0;
  uint64_t at_ = 0;  ///< in the file
};

void CoreWriter::AddLoad(const CoreRun& run, const Range& virt, bool in_file) {
  if (!loads_.empty()) {
    Elf64_Phdr& last = loads_.back();
    const bool joins = last.p_vaddr + last.p_memsz == virt.begin && last.p_flags == run.flags &&
                       (last.p_filesz != 0) == in_file;
    if (joins) {
      last.p_memsz += virt.size();
      if (in_file) last.p_filesz += virt.size();
      return;
    }
  }
  loads_.push_back({.p_type = PT_LOAD,
                    .p_flags = run.flags,
                    .p_offset = at_,
                    .p_vaddr = virt.begin,
                    .p_paddr = 0,
                    .p_filesz = in_file ? virt.size() : 0,
                    .p_memsz = virt.size(),
                    .p_align = report_.page_bytes});
}

/// `piece`: offsets in `bytes`, without a hole.
Status CoreWriter::CopyPiece(const CoreRun& run, const Range& virt, const ObjectBytes& bytes,
                             const Range& piece) {
  const Range pages{virt.begin + piece.begin, virt.begin + piece.end};
  if (loads_.size() >= most_loads_) {
    report_.pages.unreadable += pages.size() / report_.page_bytes;
    return {};
  }
  AddLoad(run, pages, true);
  KCD_TRY(sink_.Write(bytes.At(piece.begin, piece.size())));
  at_ += piece.size();
  report_.pages.read += pages.size() / report_.page_bytes;
  return {};
}

Status CoreWriter::CopyRun(const CoreRun& run) {
  for (uint64_t at = run.virt.begin; at < run.virt.end;) {
    if (Cancelled()) return MakeError(ErrorCode::kCancelled, "interrupted");
    const Range virt{at, std::min(run.virt.end, at + kCarveStepBytes)};
    const uint64_t phys = run.phys->value + (at - run.virt.begin);
    const ObjectBytes bytes = ObjectBytes::Read(session_.physical(), phys, virt.size());
    uint64_t from = 0;
    for (const Range& hole : bytes.holes()) {
      if (hole.begin > from) KCD_TRY(CopyPiece(run, virt, bytes, {from, hole.begin}));
      report_.pages.unreadable += hole.size() / report_.page_bytes;
      from = hole.end;
    }
    if (!bytes.holes().empty()) report_.findings.incomplete = true;
    if (from < virt.size()) KCD_TRY(CopyPiece(run, virt, bytes, {from, virt.size()}));
    at = virt.end;
  }
  return {};
}

/// With more program headers than e_phnum can say, a section header says it (kernel:
/// fs/binfmt_elf.c, fill_extnum_info).
Status CoreWriter::WriteHeaders(const CoreNotes& notes, uint64_t notes_at) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_CORE;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof(header) + sizeof(Elf64_Shdr);
  header.e_ehsize = sizeof(header);
  header.e_phentsize = sizeof(Elf64_Phdr);
  const uint64_t count = loads_.size() + 1;
  header.e_phnum = static_cast<Elf64_Half>(std::min<uint64_t>(count, PN_XNUM));
  Elf64_Shdr section{};
  if (count >= PN_XNUM) {
    header.e_shoff = sizeof(header);
    header.e_shentsize = sizeof(section);
    header.e_shnum = 1;
    section.sh_size = 1;
    section.sh_info = static_cast<Elf64_Word>(count);
  }
  const Elf64_Phdr note{.p_type = PT_NOTE,
                        .p_flags = 0,
                        .p_offset = notes_at,
                        .p_vaddr = 0,
                        .p_paddr = 0,
                        .p_filesz = notes.bytes.size(),
                        .p_memsz = 0,
                        .p_align = 4};
  std::vector<std::byte> all;
  const auto put = [&all](const void* from, size_t bytes) {
    const auto* begin = static_cast<const std::byte*>(from);
    all.insert(all.end(), begin, begin + bytes);
  };
  put(&header, sizeof(header));
  put(&section, sizeof(section));
  put(&note, sizeof(note));
  put(loads_.data(), loads_.size() * sizeof(Elf64_Phdr));
  return sink_.Patch(0, all);
}

Status CoreWriter::Write(const std::vector<CoreRun>& runs, const CoreNotes& notes) {
  most_loads_ = runs.size() + kSpareHeaders;
  const uint64_t headers =
      sizeof(Elf64_Ehdr) + sizeof(Elf64_Shdr) + (most_loads_ + 1) * sizeof(Elf64_Phdr);
  const uint64_t notes_at = AlignedUp(headers, 4);
  const uint64_t data_at = AlignedUp(notes_at + notes.bytes.size(), report_.page_bytes);
  KCD_TRY(sink_.Reserve(data_at));
  KCD_TRY(sink_.Skip(notes_at));
  KCD_TRY(sink_.Write(notes.bytes));
  KCD_TRY(sink_.Skip(data_at - notes_at - notes.bytes.size()));
  at_ = data_at;
  for (const CoreRun& run : runs) {
    if (run.phys) {
      KCD_TRY(CopyRun(run));
    } else {
      AddLoad(run, run.virt, false);
    }
  }
  KCD_TRY(WriteHeaders(notes, notes_at));
  report_.file_bytes = at_;
  return {};
}

}  // namespace

Result<CarveReport> Carve(Kernel& kernel, const CarveOptions& options) {
  Session& session = kernel.session();
  const Architecture* arch = session.facts().arch;
  if (arch == nullptr || arch->machine() != EM_X86_64) {
    return MakeError(ErrorCode::kUnsupported, "cores of processes are made of x86_64 alone");
  }
  KCD_ASSIGN(const Paging paging, arch->PagingOf(session.facts().vmcoreinfo));
  KCD_ASSIGN(const TaskSources sources, TaskSourcesOf(session));
  KCD_ASSIGN(const TaskHead asked, FindTask(sources, options.pid));
  KCD_TRY(HasMemory(asked));
  KCD_ASSIGN(MappingList mappings, ListMappings(kernel, options.pid));
  CarveReport report{.path = {},
                     .pid = asked.tgid,
                     .comm = asked.comm,
                     .page_bytes = sources.page_bytes,
                     .mappings = mappings.mappings.size(),
                     .pages = {},
                     .findings = std::move(mappings.findings)};
  KCD_ASSIGN(const CoreNotes notes, MakeCoreNotes(sources, asked, mappings, report.findings));
  report.threads = notes.threads;
  KCD_ASSIGN(const uint64_t pgd, ProcessRoot(session, options.pid));
  KCD_ASSIGN(const auto space, session.ProcessSpace(pgd));
  std::vector<CoreRun> runs;
  for (const Mapping& mapping : mappings.mappings) {
    if (mapping.start >> 63 != 0) continue;  // the vsyscall page, which is the kernel's
    KCD_TRY(FindCoreRuns(*space, paging, mapping, runs, report.pages));
  }
  KCD_ASSIGN(const auto sink, CreateOutputFile(options.output, options.force));
  KCD_TRY(CoreWriter(session, options, *sink, report).Write(runs, notes));
  KCD_ASSIGN(report.path, sink->Publish(true));
  if (report.pages.unreadable != 0) report.findings.incomplete = true;
  LimitNotes(report.findings.notes);
  return report;
}

}  // namespace kcoredump
