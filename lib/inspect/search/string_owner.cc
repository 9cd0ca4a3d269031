// SPDX-License-Identifier: MIT
#include "inspect/search/string_owner.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxSlabNameBytes = 256;

}  // namespace

StringOwners::StringOwners(Session& session, Findings& findings)
    : session_(session), findings_(findings), locator_(session, std::nullopt) {
  Prepare();
}

StringOwners::~StringOwners() = default;

void StringOwners::Prepare() {
  auto sources = TaskSourcesOf(session_);
  if (!sources.ok()) return findings_.Lost("owners are not known: " + sources.error().message);
  sources_.emplace(std::move(sources.value()));
  auto words = PageWordsReader::Create(*sources_, session_.facts().vmcoreinfo, findings_);
  if (!words.ok()) return findings_.Lost("owners are not known: " + words.error().message);
  words_.emplace(std::move(words.value()));
  const auto translate = [this](uint64_t pgd, uint64_t address) -> std::optional<uint64_t> {
    auto space = spaces_.find(pgd);
    if (space == spaces_.end()) {
      auto opened = session_.ProcessSpace(pgd);
      space = spaces_.emplace(pgd, opened.ok() ? std::move(opened.value()) : nullptr).first;
    }
    uint64_t left = 0;
    if (space->second == nullptr) return std::nullopt;
    const auto phys = space->second->Translate(VirtAddr{address}, &left);
    return phys.ok() ? std::optional(phys.value().value) : std::nullopt;
  };
  auto owners = PageOwnerReader::Create(*sources_, translate, findings_);
  if (owners.ok()) {
    owners_.emplace(std::move(owners.value()));
  } else {
    findings_.Lost("files and processes are not known: " + owners.error().message);
  }
  const bool own = sources_->types.SizeOf("struct slab").ok();
  const auto slab = Layout::Of(sources_->types, own ? "struct slab" : "struct page");
  const auto cache = Layout::Of(sources_->types, "struct kmem_cache");
  if (slab.ok()) cache_at_ = slab.value().Find("slab_cache");
  if (cache.ok()) cache_name_ = cache.value().Find("name");
}

std::string StringOwners::CacheOf(uint64_t head) {
  if (!cache_at_ || !cache_name_ || !cache_at_->known() || !cache_name_->known()) return {};
  const auto cache = session_.kernel().ReadValue<uint64_t>(head + cache_at_->offset);
  if (!cache.ok()) return {};
  const auto [entry, is_new] = caches_.try_emplace(cache.value());
  if (!is_new) return entry->second;
  const auto name = session_.kernel().ReadValue<uint64_t>(cache.value() + cache_name_->offset);
  auto text = name.ok() ? session_.kernel().ReadString(name.value(), kMaxSlabNameBytes)
                        : Result<std::string>(name.error());
  if (text.ok()) entry->second = std::move(text.value());
  return entry->second;
}

void StringOwners::ReadPage(uint64_t pfn) {
  pfn_ = pfn;
  page_ = {};
  const auto words = words_->At(pfn);
  if (!words.ok()) return;
  const PageWords& page = words.value();
  page_.kind = page.answer.kind;
  if (page_.kind == PageKind::kSlab) page_.slab_cache = CacheOf(page.answer.head);
  if (!owners_) return;
  if (page.mapping_kind == MappingKind::kAnonymous) {
    page_.mapped_by = owners_->AnonymousMappers(page.mapping, page.index, page.answer.physical);
  } else if (page.mapping_kind == MappingKind::kFile) {
    auto file = owners_->FileAt(page.mapping, page.index);
    if (file.ok()) page_.file = std::move(file.value());
    if (file.ok()) {
      page_.mapped_by = owners_->FileMappers(page.mapping, page.index, page.answer.physical);
    }
  }
}

void StringOwners::Tell(FoundString& found) {
  if (words_) {
    const uint64_t page_bytes = sources_->page_bytes;
    if (found.physical / page_bytes != pfn_) ReadPage(found.physical / page_bytes);
    const uint64_t inside = found.physical % page_bytes;
    found.kind = page_.kind;
    found.file = page_.file;
    found.mapped_by = page_.mapped_by;
    found.slab_cache = page_.slab_cache;
    if (found.file) found.file->offset += inside;
    for (PageMapper& mapper : found.mapped_by) mapper.address += inside;
  }
  const bool kernels = found.kind == PageKind::kKernel || found.kind == PageKind::kReserved ||
                       found.kind == PageKind::kUnknown;
  if (!kernels || found.file) return;
  SearchMatch match;
  match.at = {.space = Target::Space::kPhysical, .address = found.physical, .pid = 0};
  match.length = 1;
  locator_.Locate(match);
  found.virt = match.virt;
  found.symbol = std::move(match.symbol);
}

}  // namespace kcoredump
