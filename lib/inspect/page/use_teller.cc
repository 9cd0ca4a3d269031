// SPDX-License-Identifier: MIT
#include "inspect/page/use_teller.h"

#include "base/error.h"
#include "base/try.h"
#include "inspect/task/tasks.h"
#include "space/page_uses.h"

namespace kcoredump {

namespace {

constexpr uint32_t kInitPid = 1;
/// Ranges of init's memory whose page tables are looked at.
constexpr size_t kTablesLookedAt = 16;
constexpr uint64_t kMaxInitSteps = 1 << 20;

class FlagsUseTeller : public UseTeller {
 public:
  explicit FlagsUseTeller(std::unique_ptr<SourceReader> reader) : reader_(std::move(reader)) {}
  void Tell(PhysAddr first, std::span<PageUse> uses) override {
    kinds_.resize(uses.size());
    const bool told = reader_->TellKinds(first, kinds_);
    for (size_t i = 0; i < uses.size(); ++i) {
      uses[i] = {};
      if (told) uses[i].kind = kinds_[i];
    }
  }

 private:
  std::unique_ptr<SourceReader> reader_;
  std::vector<PageKind> kinds_;
};

class StructUseTeller : public UseTeller {
 public:
  explicit StructUseTeller(std::unique_ptr<PageUses> uses) : uses_(std::move(uses)) {}
  void Tell(PhysAddr first, std::span<PageUse> uses) override { uses_->Tell(first, uses); }

 private:
  std::unique_ptr<PageUses> uses_;
};

Status LearnReserved(Session& session, PageUses& uses) {
  KCD_ASSIGN(const TypeCatalog* types, session.Types());
  KCD_ASSIGN(const int64_t bit, types->Enumerator("PG_reserved"));
  if (bit < 0 || bit >= 64) return MakeError(ErrorCode::kCorrupt, "PG_reserved cannot be a bit");
  uses.LearnReserved(uint64_t{1} << bit);
  return {};
}

/// Which page_type a page table has stands in no VMCOREINFO, and until 6.12 in no BTF. But the
/// tables that map init's memory are page tables (kernel: pgtable_pte_page_ctor marks them).
Status LearnTables(Session& session, PageUses& uses) {
  KCD_ASSIGN(const uint64_t pgd, ProcessRoot(session, kInitPid));
  KCD_ASSIGN(const auto space, session.ProcessSpace(pgd));
  KCD_ASSIGN(const Paging paging, session.facts().arch->PagingOf(session.facts().vmcoreinfo));
  const Range user{0, uint64_t{1} << (paging.virtual_bits - 1)};
  KCD_ASSIGN(const auto mapped, space->MappedRanges(user, kMaxInitSteps));
  size_t learnt = 0;
  for (size_t i = 0; i < mapped.size() && i < kTablesLookedAt; ++i) {
    const auto walk = space->Walk(VirtAddr{mapped[i].virt.begin});
    const bool last_level = walk.ok() && walk.value().page_bytes == session.source().page_bytes();
    if (last_level && uses.LearnTable(walk.value().steps.back().table)) ++learnt;
  }
  if (learnt != 0) return {};
  return MakeError(ErrorCode::kNotFound, "no page table of process 1 is marked as one");
}

Result<std::unique_ptr<PageUses>> ReadStructPages(Session& session,
                                                  std::vector<std::string>& notes) {
  KCD_ASSIGN(auto uses, PageUses::Create(session.source(), session.facts()));
  KCD_TRY(uses->Prove());
  notes.insert(notes.end(), uses->unknown().begin(), uses->unknown().end());
  if (const Status learnt = LearnReserved(session, *uses); !learnt.ok()) {
    notes.push_back("reserved pages count as the kernel's: " + learnt.error().message);
  }
  if (const Status learnt = LearnTables(session, *uses); !learnt.ok()) {
    notes.push_back("page tables count as the kernel's: " + learnt.error().message);
  }
  return uses;
}

}  // namespace

Result<std::unique_ptr<UseTeller>> UseTeller::Create(Session& session,
                                                     std::vector<std::string>& notes) {
  if (!session.live()) {
    KCD_ASSIGN(auto uses, ReadStructPages(session, notes));
    return std::unique_ptr<UseTeller>(std::make_unique<StructUseTeller>(std::move(uses)));
  }
  if (!session.source().labels_known()) {
    return MakeError(ErrorCode::kUnsupported, "/proc/kpageflags does not answer");
  }
  KCD_ASSIGN(auto reader, session.source().NewReader());
  return std::unique_ptr<UseTeller>(std::make_unique<FlagsUseTeller>(std::move(reader)));
}

}  // namespace kcoredump
