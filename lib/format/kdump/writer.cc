// SPDX-License-Identifier: MIT
#include "format/kdump/writer.h"

#include <elf.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <deque>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/try.h"
#include "format/flattened/sink.h"
#include "format/kdump/encoder.h"
#include "format/kdump/format.h"
#include "format/kdump/table_writer.h"
#include "format/kdump/uts_name.h"
#include "format/write_log.h"

namespace kcoredump {

namespace {

constexpr uint64_t kNsInASecond = 1'000'000'000;

/// NUMBER(phys_base) of x86; 0: there is none. Only kernel/ parses VMCOREINFO as a whole.
uint64_t PhysBaseOf(std::string_view vmcoreinfo) {
  static constexpr std::string_view kKey = "NUMBER(phys_base)=";
  const size_t at = vmcoreinfo.find(kKey);
  if (at == std::string_view::npos) return 0;
  const std::string_view digits = vmcoreinfo.substr(at + kKey.size());
  int64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return static_cast<uint64_t>(value);
}

/// A batch of pages that the kernel may not have taken yet.
struct PendingPages {
  uint64_t file_end = 0;
  uint64_t first_pfn = 0;
  std::vector<EncodedPiece> pages;
  uint64_t data_offset = 0;  ///< of the first of them that has bytes
};

class KdumpWriter : public ImageWriter {
 public:
  KdumpWriter(const WriteRequest& request, ByteSink* sink)
      : source_(*request.source),
        sink_(sink),
        page_bytes_(source_.page_bytes()),
        status_(request.codec ? KdumpFlagOf(*request.codec) : 0),
        dump_level_(request.dump_level | source_.Facts().dump_level.value_or(0)) {}

  Status Begin() override;
  Status Append(const EncodedBatch& batch) override;
  Status Finish(const Trailer& trailer) override;
  Status MakeRoom(uint64_t tail_bytes) override;

  uint64_t plain_bytes() const override { return log_.now().plain_bytes; }
  uint64_t written_bytes() const override { return log_.now().file_bytes; }
  uint64_t zero_pages() const override { return log_.now().zero_pages; }

 private:
  [[nodiscard]] uint64_t PhysBase(std::string_view vmcoreinfo) const {
    return source_.PhysBase().value_or(PhysBaseOf(vmcoreinfo));
  }
  [[nodiscard]] KdumpMainHeader MainHeader() const;
  [[nodiscard]] std::vector<std::byte> SubHeader() const;
  [[nodiscard]] Status WriteMemoryBitmap(uint64_t offset);
  [[nodiscard]] Status Settle(uint64_t taken_bytes);

  const MemorySource& source_;
  ByteSink* sink_;
  uint64_t page_bytes_;
  uint32_t status_;
  uint32_t dump_level_;
  char utsname_[kUtsFields][kUtsBytes] = {};
  uint64_t started_utc_ns_ = 0;
  uint64_t max_pfn_ = 0;
  uint64_t bitmap_bytes_ = 0;  ///< of each, in whole blocks
  uint64_t sub_blocks_ = 0;
  uint64_t zero_page_offset_ = 0;
  std::optional<BitmapWriter> dumped_;
  std::optional<DescriptorWriter> descriptors_;
  std::deque<PendingPages> pending_;
  WriteLog log_;
};

KdumpMainHeader KdumpWriter::MainHeader() const {
  KdumpMainHeader header;
  std::memcpy(header.signature, kKdumpSignature, sizeof(header.signature));
  header.version = kLatestKdumpVersion;
  std::memcpy(header.utsname, utsname_, sizeof(utsname_));
  header.seconds = static_cast<int64_t>(started_utc_ns_ / kNsInASecond);
  header.microseconds = static_cast<int64_t>(started_utc_ns_ % kNsInASecond / 1000);
  header.status = status_;
  header.block_bytes = static_cast<int32_t>(page_bytes_);
  header.sub_header_blocks = static_cast<int32_t>(sub_blocks_);
  header.bitmap_blocks = static_cast<uint32_t>(2 * bitmap_bytes_ / page_bytes_);
  header.max_mapnr = static_cast<uint32_t>(std::min<uint64_t>(max_pfn_, UINT32_MAX));
  header.total_ram_blocks = static_cast<uint32_t>(
      std::min<uint64_t>(source_.map().ram_bytes() / page_bytes_, UINT32_MAX));
  header.nr_cpus = 1;
  if (const auto notes = source_.notes().Parse(); notes.ok()) {
    header.nr_cpus = static_cast<int32_t>(
        std::max<size_t>(1, static_cast<size_t>(std::count_if(
                                notes.value().begin(), notes.value().end(), [](const Note& note) {
                                  return note.owner == "CORE" && note.type == NT_PRSTATUS;
                                }))));
  }
  return header;
}

/// The sub header and, behind it, the source's notes, VMCOREINFO among them.
std::vector<std::byte> KdumpWriter::SubHeader() const {
  const std::span<const std::byte> notes = source_.notes().bytes();
  const std::string vmcoreinfo = VmcoreinfoText(source_);
  KdumpSubHeader header;
  header.dump_level = static_cast<int32_t>(dump_level_);
  header.phys_base = PhysBase(vmcoreinfo);
  header.end_pfn = max_pfn_;
  header.end_pfn_64 = max_pfn_;
  header.max_mapnr_64 = max_pfn_;
  if (!notes.empty()) {
    header.offset_note = page_bytes_ + sizeof(header);
    header.size_note = notes.size();
  }
  const size_t inside = AsText(notes).find(vmcoreinfo);
  if (!vmcoreinfo.empty() && inside != std::string_view::npos) {
    header.offset_vmcoreinfo = header.offset_note + inside;
    header.size_vmcoreinfo = vmcoreinfo.size();
  }
  ByteWriter writer;
  writer.Write(header);
  writer.Append(notes);
  return std::move(writer.bytes());
}

/// Everything up to the pages: headers, the bitmap of memory, and room for what the end knows.
Status KdumpWriter::Begin() {
  const std::string vmcoreinfo = VmcoreinfoText(source_);
  FillUtsName(source_, vmcoreinfo, PhysBase(vmcoreinfo), utsname_);
  const std::vector<Segment>& ram = source_.map().ram();
  max_pfn_ = ram.empty() ? 0 : ram.back().PhysRange().end / page_bytes_;
  bitmap_bytes_ = AlignUp((max_pfn_ + 7) / 8, page_bytes_);
  std::vector<std::byte> sub_header = SubHeader();
  sub_blocks_ = AlignUp(sub_header.size(), page_bytes_) / page_bytes_;
  sub_header.resize(sub_blocks_ * page_bytes_);
  const uint64_t bitmaps = (1 + sub_blocks_) * page_bytes_;
  const uint64_t descriptors = bitmaps + 2 * bitmap_bytes_;
  const uint64_t pages = source_.map().ram_bytes() / page_bytes_;
  zero_page_offset_ = AlignUp(descriptors + pages * sizeof(PageDescriptor), page_bytes_);
  KCD_TRY(sink_->Reserve(zero_page_offset_));

  std::vector<std::byte> head(page_bytes_);
  const KdumpMainHeader main = MainHeader();
  std::memcpy(head.data(), &main, sizeof(main));
  KCD_TRY(sink_->Write(head));
  KCD_TRY(sink_->Write(sub_header));
  // What is patched later, and then the page that stands for all pages of zeros.
  KCD_TRY(sink_->Skip(zero_page_offset_ - bitmaps + page_bytes_));
  KCD_TRY(WriteMemoryBitmap(bitmaps));
  dumped_.emplace(sink_, bitmaps + bitmap_bytes_);
  descriptors_.emplace(sink_, descriptors);
  log_.Begin(zero_page_offset_ + page_bytes_);
  return {};
}

Status KdumpWriter::WriteMemoryBitmap(uint64_t offset) {
  BitmapWriter bitmap(sink_, offset);
  for (const Segment& segment : source_.map().ram()) {
    const Range range = segment.PhysRange();
    for (uint64_t at = range.begin; at < range.end; at += page_bytes_) {
      KCD_TRY(bitmap.Set(at / page_bytes_));
    }
  }
  return bitmap.Finish();
}

Status KdumpWriter::Append(const EncodedBatch& batch) {
  WriteMark mark = log_.now();
  PendingPages pages{.file_end = 0,
                     .first_pfn = batch.phys.value / page_bytes_,
                     .pages = batch.pieces,
                     .data_offset = mark.file_bytes};
  uint64_t data_bytes = 0;
  for (const EncodedPiece& piece : batch.pieces) {
    mark.plain_bytes += piece.content_bytes;
    mark.zero_pages += piece.zero_pages;
    data_bytes += piece.encoded_bytes;
  }
  KCD_TRY(sink_->Write({batch.bytes.get(), data_bytes}));
  mark.file_bytes += data_bytes;
  pages.file_end = mark.file_bytes;
  pending_.push_back(std::move(pages));
  log_.Add(mark, sink_->taken_bytes());
  return Settle(sink_->taken_bytes());
}

/// Enters pages whose data is with the kernel into bitmap and descriptors.
Status KdumpWriter::Settle(uint64_t taken_bytes) {
  for (; !pending_.empty() && pending_.front().file_end <= taken_bytes; pending_.pop_front()) {
    const PendingPages& batch = pending_.front();
    uint64_t offset = batch.data_offset;
    for (size_t i = 0; i < batch.pages.size(); ++i) {
      const EncodedPiece& page = batch.pages[i];
      if (page.flags == kHolePage) continue;
      KCD_TRY(dumped_->Set(batch.first_pfn + i));
      const bool zero = page.zero_pages != 0;
      KCD_TRY(descriptors_->Add(
          {.offset = zero ? zero_page_offset_ : offset,
           .bytes = zero ? static_cast<uint32_t>(page_bytes_) : page.encoded_bytes,
           .flags = page.flags}));
      offset += page.encoded_bytes;
    }
  }
  return {};
}

Status KdumpWriter::Finish(const Trailer& trailer) {
  KCD_TRY(sink_->Flush());
  KCD_TRY(Settle(log_.now().file_bytes));
  KCD_TRY(dumped_->Finish());
  KCD_TRY(descriptors_->Finish());
  if (!trailer.complete) status_ |= kKdumpIncomplete;
  started_utc_ns_ = trailer.started_utc_ns;
  const KdumpMainHeader main = MainHeader();
  KCD_TRY(sink_->Patch(0, std::as_bytes(std::span(&main, 1))));
  return sink_->Flush();
}

Status KdumpWriter::MakeRoom(uint64_t /*tail_bytes*/) {
  KCD_TRY(log_.GoBack(*sink_));
  std::erase_if(pending_,
                [&](const PendingPages& batch) { return batch.file_end > log_.now().file_bytes; });
  return {};
}

/// A kdump file whose writes become records.
class FlattenedKdumpWriter : public ImageWriter {
 public:
  FlattenedKdumpWriter(const WriteRequest& request, ByteSink* sink)
      : records_(sink), kdump_(request, &records_) {}

  Status Begin() override { return kdump_.Begin(); }
  Status Append(const EncodedBatch& batch) override { return kdump_.Append(batch); }
  Status Finish(const Trailer& trailer) override {
    KCD_TRY(kdump_.Finish(trailer));
    return records_.End();
  }
  Status MakeRoom(uint64_t tail_bytes) override { return kdump_.MakeRoom(tail_bytes); }
  uint64_t plain_bytes() const override { return kdump_.plain_bytes(); }
  uint64_t written_bytes() const override { return kdump_.written_bytes(); }
  uint64_t zero_pages() const override { return kdump_.zero_pages(); }

 private:
  FlattenedSink records_;
  KdumpWriter kdump_;
};

Result<std::shared_ptr<const ImageEncoding>> EncodingFor(const WriteRequest& request) {
  return MakeKdumpEncoding(request.codec, request.level, request.source->page_bytes());
}

}  // namespace

const FormatWriting kKdumpWriting = {
    .suffix = ".kdump",
    .streams = false,
    .has_codecs = true,
    .encoding = EncodingFor,
    .writer = [](const WriteRequest& request, ByteSink* sink) -> std::unique_ptr<ImageWriter> {
      return std::make_unique<KdumpWriter>(request, sink);
    }};

const FormatWriting kFlattenedWriting = {
    .suffix = ".flat",
    .streams = true,
    .has_codecs = true,
    .encoding = EncodingFor,
    .writer = [](const WriteRequest& request, ByteSink* sink) -> std::unique_ptr<ImageWriter> {
      return std::make_unique<FlattenedKdumpWriter>(request, sink);
    }};

}  // namespace kcoredump
