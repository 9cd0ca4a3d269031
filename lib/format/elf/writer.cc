// SPDX-License-Identifier: MIT
#include "format/elf/writer.h"

#include <algorithm>

#include "base/error.h"
#include "base/try.h"
#include "elf/elf_core.h"
#include "format/plain_encoding.h"
#include "format/write_log.h"

namespace kcoredump {

namespace {

class ElfWriter : public ImageWriter {
 public:
  explicit ElfWriter(ByteSink* sink) : sink_(sink) {}

  Status Append(const EncodedBatch& batch) override {
    WriteMark mark = log_.now();
    size_t at = 0;
    for (const EncodedPiece& piece : batch.pieces) {
      const std::span<const std::byte> bytes(batch.bytes.get() + at, piece.encoded_bytes);
      if (!batch.is_memory) KeepHead(bytes);
      KCD_TRY(sink_->Write(bytes));
      KCD_TRY(sink_->Skip(piece.content_bytes - piece.encoded_bytes));
      mark.plain_bytes += piece.content_bytes;
      mark.zero_pages += piece.zero_pages;
      at += piece.encoded_bytes;
    }
    mark.file_bytes = mark.plain_bytes;
    log_.Add(mark, sink_->taken_bytes());
    return {};
  }

  Status Finish(const Trailer& trailer) override {
    if (!trailer.complete && sink_->can_patch()) KCD_TRY(ShortenSegments());
    return sink_->Flush();
  }

  Status MakeRoom(uint64_t /*tail_bytes*/) override { return log_.GoBack(*sink_); }

  uint64_t plain_bytes() const override { return log_.now().plain_bytes; }
  uint64_t written_bytes() const override { return log_.now().file_bytes; }
  uint64_t zero_pages() const override { return log_.now().zero_pages; }

 private:
  /// The image begins with its ELF head, whose length its own header tells.
  void KeepHead(std::span<const std::byte> bytes) {
    if (head_done_) return;
    head_.insert(head_.end(), bytes.begin(), bytes.end());
    const auto core = ParseHead();
    if (!core.ok()) return;
    head_.resize(core.value().head_bytes);
    head_.shrink_to_fit();
    head_done_ = true;
  }

  [[nodiscard]] Result<ElfCore> ParseHead() const {
    return ReadElfCore([this](uint64_t offset, std::span<std::byte> out) -> Result<size_t> {
      return ReadFromBytes(head_, offset, out);
    });
  }

  Status ShortenSegments() {
    KCD_ASSIGN(ElfCore core, ParseHead());
    for (ProgramHeader& header : core.headers) {
      const uint64_t end = std::max(plain_bytes(), header.offset);
      header.filesz = std::min(header.filesz, end - header.offset);
    }
    return sink_->Patch(0, BuildElfHead(core.machine, core.headers));
  }

  ByteSink* sink_;
  std::vector<std::byte> head_;
  bool head_done_ = false;
  WriteLog log_;
};

}  // namespace

const FormatWriting kElfWriting = {
    .suffix = ".elf",
    .streams = true,
    .holds_notes = true,
    .fills_gaps = true,
    .encoding =
        [](const WriteRequest& /*request*/) -> Result<std::shared_ptr<const ImageEncoding>> {
      return MakePlainEncoding(ImageShape::kElf);
    },
    .writer = [](const WriteRequest& /*request*/, ByteSink* sink) -> std::unique_ptr<ImageWriter> {
      return std::make_unique<ElfWriter>(sink);
    }};

}  // namespace kcoredump
