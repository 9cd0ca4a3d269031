// SPDX-License-Identifier: MIT
#include "inspect/check/ftrace_records.h"

#include <cstring>

#include "base/error.h"
#include "symbol/chain_walk.h"
#include "symbol/record.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxPagesOfRecords = 1 << 16;

struct RecordFields {
  Field next, records, index;  ///< of ftrace_page
  Field ip, flags;             ///< of dyn_ftrace
  uint64_t page_bytes = 0;
  uint64_t record_bytes = 0;
};

Result<RecordFields> FindRecordFields(const TypeCatalog& types) {
  RecordFields fields;
  KCD_ASSIGN(const Layout page, Layout::Of(types, "struct ftrace_page"));
  KCD_ASSIGN(fields.next, page.Need("next"));
  KCD_ASSIGN(fields.records, page.Need("records"));
  KCD_ASSIGN(fields.index, page.Need("index"));
  KCD_ASSIGN(const Layout record, Layout::Of(types, "struct dyn_ftrace"));
  KCD_ASSIGN(fields.ip, record.Need("ip"));
  KCD_ASSIGN(fields.flags, record.Need("flags"));
  fields.page_bytes = page.bytes();
  fields.record_bytes = record.bytes();
  return fields;
}

}  // namespace

Status VisitFtraceRecords(const TaskSources& sources,
                          const std::function<bool(uint64_t site, uint64_t flags)>& visit) {
  KCD_ASSIGN(const RecordFields fields, FindRecordFields(sources.types));
  const auto start = sources.symbol("ftrace_pages_start");
  if (!start)
    return MakeError(ErrorCode::kNotFound, "this kernel has no symbol ftrace_pages_start");
  KCD_ASSIGN(const uint64_t first, sources.kernel.ReadValue<uint64_t>(*start));
  Status status;
  uint64_t left = kMaxFtraceRecords;
  std::vector<std::byte> bytes;
  const auto number = [&](uint64_t record, const Field& field) {
    uint64_t value = 0;
    std::memcpy(&value, bytes.data() + record * fields.record_bytes + field.offset,
                std::min<uint64_t>(field.bytes, sizeof(value)));
    return value;
  };
  const auto visit_page = [&](uint64_t at) -> Result<bool> {
    Record page;
    KCD_TRY(page.Load(sources.kernel, at, fields.page_bytes));
    const uint64_t count = page.Unsigned(fields.index);
    if (count > left) return Corrupt("ftrace has more records than any kernel");
    left -= count;
    bytes.resize(count * fields.record_bytes);
    KCD_TRY(sources.kernel.Read(page.Unsigned(fields.records), bytes));
    for (uint64_t i = 0; i < count; ++i) {
      if (!visit(number(i, fields.ip), number(i, fields.flags))) return false;
    }
    return true;
  };
  const ListOutcome walk = WalkChain(sources.kernel, first, fields.next.offset, kMaxPagesOfRecords,
                                     "the list of ftrace's pages", [&](uint64_t at) {
                                       const auto more = visit_page(at);
                                       if (!more.ok()) status = more.error();
                                       return more.ok() && more.value();
                                     });
  if (status.ok() && walk.lost) return Corrupt(walk.note);
  return status;
}

}  // namespace kcoredump
