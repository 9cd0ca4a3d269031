// SPDX-License-Identifier: MIT
//
// Reads with one outcome a page. Virtual addresses are translated under the image's lock, a batch
// at a time; the bytes come through the reader's own way into the source, without it.
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "abi/handles.h"
#include "base/try.h"
#include "base/zero.h"
#include "inspect/session.h"
#include "inspect/task/tasks.h"
#include "source/range_reader.h"

struct kcd_reader {
  kcd_image* image = nullptr;
  std::unique_ptr<kcoredump::RangeReader> reader;
};

namespace kcoredump::abi {

namespace {

/// Translated under one hold of the lock, so that other threads get their turn.
constexpr uint64_t kBatchPages = 1024;

/// Where one page's part of a range is; nothing: `hole` says why not.
struct Place {
  std::optional<Location> at;
  kcd_page hole{};
};

/// A read as it is checked: its pages by number.
struct Piece {
  kcd_read& asked;
  uint64_t page_bytes = 0;
  uint64_t inside = 0;  ///< bytes from the first page's beginning

  [[nodiscard]] uint64_t Begin(uint64_t page) const {
    return page == 0 ? 0 : page * page_bytes - inside;
  }
  [[nodiscard]] uint64_t End(uint64_t page) const {
    return std::min((page + 1) * page_bytes - inside, asked.length);
  }
  [[nodiscard]] std::span<std::byte> Bytes(uint64_t first, uint64_t end) const {
    return {static_cast<std::byte*>(asked.out) + Begin(first), End(end - 1) - Begin(first)};
  }
  void Set(uint64_t page, kcd_page outcome) const {
    if (outcome.outcome != KCD_PAGE_OK && outcome.outcome != KCD_PAGE_ZERO &&
        outcome.outcome != KCD_PAGE_RETRIED) {
      ++asked.hole_pages;
    }
    if (asked.pages != nullptr && page < asked.page_capacity) asked.pages[page] = outcome;
  }
};

kcd_page OutcomeOf(const PageRun& run) {
  const auto page = [](uint32_t outcome) { return kcd_page{outcome, 0}; };
  switch (run.outcome) {
    case PageOutcome::kDirect:
      return page(KCD_PAGE_OK);
    case PageOutcome::kRetried:
    case PageOutcome::kBounced:
      return page(KCD_PAGE_RETRIED);
    case PageOutcome::kUnreadable:
      return {KCD_PAGE_UNREADABLE, run.system_errno};
    case PageOutcome::kHwPoison:
      return page(KCD_PAGE_POISONED);
    case PageOutcome::kOffline:
      return page(KCD_PAGE_OFFLINE);
    case PageOutcome::kAbsent:
      return page(KCD_PAGE_ABSENT);
    case PageOutcome::kNotReached:
      return page(KCD_PAGE_NOT_REACHED);
    case PageOutcome::kExcluded:
      return page(KCD_PAGE_EXCLUDED);
  }
  return page(KCD_PAGE_UNREADABLE);
}

Place PlaceOf(const MemorySource& source, PhysAddr phys) {
  // What is no memory of the image is not tried: the retries would mark its neighbours, too.
  if (!source.map().Find(phys)) return {.at = {}, .hole = {KCD_PAGE_ABSENT, 0}};
  return {.at = phys, .hole = {}};
}

/// Why a translation failed: not mapped, or a table that is forged or cannot be read.
template <typename AnySpace>
Place NoPlace(AnySpace& space, VirtAddr address, const Error& error) {
  const auto walk = space.Walk(address);
  const bool unmapped =
      walk.ok() ? !walk.value().phys : walk.error().code == ErrorCode::kInvalidArgument;
  return {.at = {},
          .hole = {unmapped ? uint32_t{KCD_PAGE_UNMAPPED} : uint32_t{KCD_PAGE_UNREADABLE},
                   error.system_errno}};
}

Place KernelPlace(KernelSpace& space, const MemorySource& source, VirtAddr address) {
  const auto phys = space.Translate(address);
  if (phys.ok()) return PlaceOf(source, phys.value());
  if (phys.error().code != ErrorCode::kUnsupported) return NoPlace(space, address, phys.error());
  // Without page tables the image's own virtual segments are all there is.
  if (source.map().Find(address)) return {.at = address, .hole = {}};
  return {.at = {}, .hole = {KCD_PAGE_UNMAPPED, 0}};
}

Status FindPlaces(kcd_image& image, const Piece& piece, uint64_t first,
                  std::vector<Place>& places) {
  const kcd_address& at = piece.asked.at;
  const auto address = [&](size_t i) { return at.address + piece.Begin(first + i); };
  if (at.space == KCD_PHYSICAL) {
    const MemorySource& source = image.kernel.session().source();
    for (size_t i = 0; i < places.size(); ++i) places[i] = PlaceOf(source, PhysAddr{address(i)});
    return {};
  }
  const std::lock_guard hold(image.lock);
  Session& session = image.kernel.session();
  if (at.space == KCD_KERNEL) {
    for (size_t i = 0; i < places.size(); ++i) {
      places[i] = KernelPlace(session.kernel(), session.source(), VirtAddr{address(i)});
    }
    return {};
  }
  KCD_ASSIGN(const uint64_t pgd, ProcessRoot(session, at.pid));
  KCD_ASSIGN(const auto space, session.ProcessSpace(pgd));
  for (size_t i = 0; i < places.size(); ++i) {
    uint64_t left = 0;
    const auto phys = space->Translate(VirtAddr{address(i)}, &left);
    places[i] = phys.ok() ? PlaceOf(session.source(), phys.value())
                          : NoPlace(*space, VirtAddr{address(i)}, phys.error());
  }
  return {};
}

/// Reads pages that follow each other in their space, and sets their outcomes.
Status ReadTogether(RangeReader& reader, const Piece& piece, uint64_t first, uint64_t end,
                    Location at) {
  ReadReport report;
  KCD_TRY(reader.Read(at, piece.Bytes(first, end), report));
  const uint64_t first_page = at.address & ~(piece.page_bytes - 1);
  auto run = report.runs.begin();
  for (uint64_t page = first; page < end; ++page) {
    const uint64_t address = first_page + (page - first) * piece.page_bytes;
    while (run != report.runs.end() &&
           run->first.address + run->pages * piece.page_bytes <= address) {
      ++run;
    }
    const bool listed = run != report.runs.end() && run->first.address <= address;
    kcd_page outcome = listed ? OutcomeOf(*run) : kcd_page{KCD_PAGE_OK, 0};
    if (outcome.outcome == KCD_PAGE_OK && IsZero(piece.Bytes(page, page + 1))) {
      outcome.outcome = KCD_PAGE_ZERO;
    }
    piece.Set(page, outcome);
  }
  return {};
}

Status ReadBatch(kcd_reader& reader, const Piece& piece, uint64_t first, uint64_t pages) {
  std::vector<Place> places(pages);
  KCD_TRY(FindPlaces(*reader.image, piece, first, places));
  for (size_t i = 0; i < pages;) {
    size_t end = i + 1;
    if (!places[i].at) {
      KCD_TRY(ZeroFill(piece.Bytes(first + i, first + end)));
      piece.Set(first + i, places[i].hole);
    } else {
      const Location at = *places[i].at;
      while (end < pages &&
             places[end].at == at.Plus(piece.Begin(first + end) - piece.Begin(first + i))) {
        ++end;
      }
      KCD_TRY(ReadTogether(*reader.reader, piece, first + i, first + end, at));
    }
    i = end;
  }
  return {};
}

/// A newer caller's wish that this library does not know is not passed over.
bool AsksMore(const kcd_read& asked) {
  const char* bytes = reinterpret_cast<const char*>(&asked);
  return asked.reserved != 0 ||
         (asked.size > sizeof(kcd_read) && std::any_of(bytes + sizeof(kcd_read), bytes + asked.size,
                                                       [](char byte) { return byte != 0; }));
}

Status ReadPiece(kcd_reader& reader, kcd_read& asked) {
  asked.page_count = 0;
  asked.hole_pages = 0;
  if (AsksMore(asked)) {
    return MakeError(ErrorCode::kUnsupported, "a piece asks for what this library does not know");
  }
  if (asked.length == 0) return {};
  if (asked.out == nullptr) return NullArgument("a piece's out");
  if (asked.at.space > KCD_PROCESS) return InvalidArgument("no space has that number");
  if (asked.length > KCD_MAX_READ_BYTES) {
    return MakeError(ErrorCode::kLimitExceeded, "a piece is longer than KCD_MAX_READ_BYTES");
  }
  if (asked.at.address > UINT64_MAX - (asked.length - 1)) {
    return InvalidArgument("a piece's range wraps around the address space");
  }
  const uint64_t page_bytes = kcd_page_bytes(reader.image);
  const Piece piece{
      .asked = asked, .page_bytes = page_bytes, .inside = asked.at.address & (page_bytes - 1)};
  asked.page_count = (piece.inside + asked.length + page_bytes - 1) / page_bytes;
  for (uint64_t first = 0; first < asked.page_count; first += kBatchPages) {
    KCD_TRY(ReadBatch(reader, piece, first, std::min(asked.page_count - first, kBatchPages)));
  }
  return {};
}

}  // namespace

}  // namespace kcoredump::abi

using namespace kcoredump;
using abi::Guarded;
using abi::NullArgument;

int kcd_reader_open(kcd_image* image, kcd_reader** reader, kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (image == nullptr || reader == nullptr) return NullArgument("image or reader");
    *reader = nullptr;
    auto made = std::make_unique<kcd_reader>();
    made->image = image;
    KCD_ASSIGN(made->reader, RangeReader::Create(image->kernel.session().source(), {}));
    *reader = made.release();
    return {};
  });
}

void kcd_reader_free(kcd_reader* reader) { delete reader; }

int kcd_read_pieces(kcd_reader* reader, kcd_read* pieces, size_t count, kcd_error* error) {
  if (count == 0) return KCD_OK;
  int result = KCD_OK;
  const int checked = Guarded(error, [&]() -> Status {
    if (reader == nullptr || pieces == nullptr) return NullArgument("reader or pieces");
    if (pieces->size < abi::kFirstBytes<kcd_read> || pieces->size > (size_t{1} << 16) ||
        pieces->size % alignof(kcd_read) != 0) {
      return InvalidArgument("the first piece's size is not sizeof(kcd_read)");
    }
    return {};
  });
  if (checked != KCD_OK) return checked;
  const size_t stride = pieces->size;
  for (size_t i = 0; i < count; ++i) {
    kcd_read& piece = *reinterpret_cast<kcd_read*>(reinterpret_cast<char*>(pieces) + i * stride);
    piece.size = stride;
    piece.status =
        Guarded(result == KCD_OK ? error : nullptr, [&] { return abi::ReadPiece(*reader, piece); });
    if (result == KCD_OK) result = piece.status;
  }
  return result;
}

int kcd_read_bytes(kcd_reader* reader, kcd_address at, void* out, uint64_t length,
                   kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (reader == nullptr) return NullArgument("reader");
    const uint64_t page_bytes = kcd_page_bytes(reader->image);
    if (length > KCD_MAX_READ_BYTES) {
      return MakeError(ErrorCode::kLimitExceeded, "longer than KCD_MAX_READ_BYTES");
    }
    std::vector<kcd_page> pages(length / page_bytes + 2);
    kcd_read piece{};
    piece.size = sizeof piece;
    piece.at = at;
    piece.length = length;
    piece.out = out;
    piece.pages = pages.data();
    piece.page_capacity = pages.size();
    KCD_TRY(abi::ReadPiece(*reader, piece));
    for (uint64_t i = 0; i < piece.page_count && piece.hole_pages != 0; ++i) {
      const uint32_t outcome = pages[i].outcome;
      if (outcome <= KCD_PAGE_ZERO || outcome == KCD_PAGE_RETRIED) continue;
      Error hole = MakeError(ErrorCode::kUnreadable,
                             std::to_string(piece.hole_pages) + " pages of the range are holes");
      hole.address = std::max(at.address, (at.address & ~(page_bytes - 1)) + i * page_bytes);
      hole.system_errno = pages[i].system_errno;
      return hole;
    }
    return {};
  });
}
