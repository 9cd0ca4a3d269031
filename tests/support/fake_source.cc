// SPDX-License-Identifier: MIT
#include "support/fake_source.h"

#include <algorithm>
#include <cerrno>
#include <new>
#include <stdexcept>

#include "base/error.h"
#include "source/safe_copy.h"

namespace kcoredump::test {

void FakeScript::Release() {
  const std::lock_guard lock(mutex);
  open_gate = true;
  released.notify_all();
}

size_t FakeScript::CallsAt(uint64_t address) {
  return static_cast<size_t>(std::count_if(calls.begin(), calls.end(), [&](const ReadCall& call) {
    return call.at.address == address;
  }));
}

int FakeReader::ScriptedFailure(Location at, size_t bytes) {
  for (uint64_t page = at.address / kPage * kPage; page < at.address + bytes; page += kPage) {
    if (const auto always = script_->failing_for_ever.find(page);
        always != script_->failing_for_ever.end()) {
      return always->second;
    }
    const auto found = script_->failures.find(page);
    if (found == script_->failures.end() || found->second.empty()) continue;
    const int failure = found->second.front();
    found->second.pop_front();
    return failure;
  }
  return 0;
}

int64_t FakeReader::ReadUpTo(Location at, std::span<std::byte> out) {
  std::unique_lock lock(script_->mutex);
  script_->calls.push_back({.at = at, .bytes = out.size()});
  moves_ += script_->moves_a_read;
  const uint64_t last_page = (at.address + out.size() - 1) / kPage * kPage;
  const auto gate = script_->blocking.lower_bound(at.address / kPage * kPage);
  if (gate != script_->blocking.end() && *gate <= last_page) {
    ++script_->blocked;
    script_->released.notify_all();
    script_->released.wait(lock, [this] { return script_->open_gate; });
  }
  if (script_->no_memory) throw std::bad_alloc();
  if (script_->interrupted_for_ever) return -EINTR;
  if (script_->interruptions > 0) {
    --script_->interruptions;
    return -EINTR;
  }
  if (at.address >= script_->end) return 0;
  const auto extent = map_->Find(at);
  if (!extent || !extent->in_file) return -ENXIO;
  size_t bytes =
      std::min({out.size(), script_->most_bytes_a_call,
                static_cast<size_t>(std::min<uint64_t>(extent->bytes, out.size())),
                static_cast<size_t>(std::min<uint64_t>(script_->end - at.address, out.size()))});
  if (const int failure = ScriptedFailure(at, bytes); failure != 0) {
    const std::byte junk[1] = {std::byte{0xee}};
    (void)SafeCopy(junk, out.data());
    return -failure;
  }
  const auto phys = map_->ToPhysical(at);
  Bytes content = MemoryBytes(phys ? phys->value : at.address, bytes);
  for (size_t i = 0; i < bytes && !script_->zero_pages.empty(); ++i) {
    if (script_->zero_pages.contains((at.address + i) / kPage * kPage)) content[i] = std::byte{0};
  }
  // The kernel's copy_to_user: a bad destination is EFAULT for the whole call.
  if (SafeCopy(content, out.data()).system_errno != 0) return -EFAULT;
  return static_cast<int64_t>(bytes) + script_->lie;
}

bool FakeReader::Classify(PhysAddr first, std::span<PageClass> classes) {
  const std::lock_guard lock(script_->mutex);
  const auto& now = ++script_->asked_for_classes == 1 || script_->later_classes.empty()
                        ? script_->classes
                        : script_->later_classes;
  for (size_t i = 0; i < classes.size(); ++i) {
    const auto found = now.find(first.value + i * kPage);
    classes[i] = found == now.end() ? PageClass::kNone : found->second;
  }
  return true;
}

bool FakeReader::TellKinds(PhysAddr first, std::span<PageKind> kinds) {
  const std::lock_guard lock(script_->mutex);
  for (size_t i = 0; i < kinds.size(); ++i) {
    const auto found = script_->kinds.find(first.value + i * kPage);
    kinds[i] = found == script_->kinds.end() ? PageKind::kKernel : found->second;
  }
  return true;
}

void FakeReader::Label(PhysAddr first, std::span<PageLabel> labels) {
  const std::lock_guard lock(script_->mutex);
  const bool late = script_->looks++ >= script_->looks_before_late;
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto found = script_->labels.find(first.value + i * kPage);
    if (found != script_->labels.end()) labels[i] = found->second;
    const auto changed = script_->late_labels.find(first.value + i * kPage);
    if (late && changed != script_->late_labels.end()) labels[i] = changed->second;
  }
}

FakeSource::FakeSource(const Bytes& elf, MemoryMap::Dialect dialect) {
  auto core = ParseElf(elf);
  if (!core.ok()) throw std::runtime_error(core.error().message);
  core_ = std::move(core.value());
  auto map = MemoryMap::Build(core_, dialect, kPage);
  if (!map.ok()) throw std::runtime_error(map.error().message);
  map_ = std::move(map.value());
  if (const ProgramHeader* header = core_.Find(PT_NOTE)) {
    notes_ = NoteSegment::Copy(std::span(elf).subspan(header->offset, header->filesz));
  }
}

Result<std::unique_ptr<SourceReader>> FakeSource::NewReader() const {
  unsigned left = readers_to_refuse.load();
  while (left != 0 && !readers_to_refuse.compare_exchange_weak(left, left - 1)) {
  }
  if (left != 0) return MakeError(ErrorCode::kPermission, "no reader today");
  return std::unique_ptr<SourceReader>(new FakeReader(&*map_, script_));
}

std::shared_ptr<FakeSource> FlatSource(uint64_t pages) {
  ElfBuilder elf;
  elf.AddLoad(LoadHeader(kDirectMap + kFlatStart, kFlatStart, pages * kPage), {});
  return std::make_shared<FakeSource>(elf.Build());
}

Result<ElfCore> ParseElf(const Bytes& bytes) {
  return ReadElfCore([&](uint64_t offset, std::span<std::byte> out) -> Result<size_t> {
    return ReadFromBytes(bytes, offset, out);
  });
}

}  // namespace kcoredump::test
