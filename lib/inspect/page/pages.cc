// SPDX-License-Identifier: MIT
#include "kcoredump/pages.h"

#include "base/error.h"
#include "base/try.h"
#include "inspect/page/page_owner.h"
#include "inspect/page/page_words.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// The address's page; a struct page stands for the page that it describes.
Result<uint64_t> PfnOf(Session& session, PageWordsReader& pages, const Target& where) {
  const uint64_t page_bytes = session.source().page_bytes();
  if (where.space == Target::Space::kPhysical) return where.address / page_bytes;
  if (where.space == Target::Space::kProcess) {
    KCD_ASSIGN(const uint64_t root, ProcessRoot(session, where.pid));
    KCD_ASSIGN(const auto space, session.ProcessSpace(root));
    uint64_t left = 0;
    auto phys = space->Translate(VirtAddr{where.address}, &left);
    if (phys.ok()) return phys.value().value / page_bytes;
    return MakeError(ErrorCode::kNotFound, "process " + std::to_string(where.pid) +
                                               " has no page at " + HexAddress(where.address) +
                                               ": " + phys.error().message);
  }
  for (const Segment& segment : session.source().map().ram()) {
    const auto pfn = pages.PfnOfStruct(where.address, segment.phys / page_bytes);
    if (pfn) return *pfn;
  }
  const auto phys = session.kernel().Translate(VirtAddr{where.address});
  if (phys.ok()) return phys.value().value / page_bytes;
  return MakeError(ErrorCode::kNotFound, "no page is mapped at " + HexAddress(where.address) +
                                             ": " + phys.error().message);
}

void FindPageOwners(Session& session, const TaskSources& sources, const PageWords& words,
                    PageAnswer& answer) {
  const auto translate = [&session](uint64_t pgd, uint64_t address) -> std::optional<uint64_t> {
    const auto space = session.ProcessSpace(pgd);
    uint64_t left = 0;
    if (!space.ok()) return std::nullopt;
    const auto phys = space.value()->Translate(VirtAddr{address}, &left);
    return phys.ok() ? std::optional(phys.value().value) : std::nullopt;
  };
  auto owners = PageOwnerReader::Create(sources, translate, answer.findings);
  if (!owners.ok()) return answer.findings.Add("owners are not known: " + owners.error().message);
  if (words.mapping_kind == MappingKind::kAnonymous) {
    answer.mapped_by = owners.value().AnonymousMappers(words.mapping, words.index, answer.physical);
  } else if (words.mapping_kind == MappingKind::kFile) {
    auto file = owners.value().FileAt(words.mapping, words.index);
    if (file.ok()) {
      answer.file = std::move(file.value());
      answer.mapped_by = owners.value().FileMappers(words.mapping, words.index, answer.physical);
    } else {
      answer.findings.Lost("its file cannot be told: " + file.error().message);
    }
  } else if (words.mapping_kind == MappingKind::kKsm) {
    answer.findings.Add("the page is shared by KSM: who has it mapped is not looked for");
  }
}

}  // namespace

Result<PageAnswer> DescribePage(Kernel& kernel, const Target& where) {
  Session& session = kernel.session();
  KCD_ASSIGN(const TaskSources sources, TaskSourcesOf(session));
  Findings findings;
  KCD_ASSIGN(PageWordsReader pages,
             PageWordsReader::Create(sources, session.facts().vmcoreinfo, findings));
  KCD_ASSIGN(const uint64_t pfn, PfnOf(session, pages, where));
  KCD_ASSIGN(PageWords words, pages.At(pfn));
  PageAnswer answer = std::move(words.answer);
  answer.findings = std::move(findings);
  if (words.mapping_kind != MappingKind::kNone) FindPageOwners(session, sources, words, answer);
  const bool in_object = where.space == Target::Space::kKernel && answer.kind == PageKind::kSlab;
  if (in_object) {
    auto object = FindSlabObject(kernel, where.address);
    if (object.ok()) {
      answer.slab = std::move(object.value());
    } else {
      answer.findings.Add("its slab object cannot be told: " + object.error().message);
    }
  }
  LimitNotes(answer.findings.notes);
  return answer;
}

}  // namespace kcoredump
