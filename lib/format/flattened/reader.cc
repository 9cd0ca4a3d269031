// SPDX-License-Identifier: MIT
#include "format/flattened/reader.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <queue>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "format/elf/reader.h"
#include "format/flattened/format.h"
#include "format/kdump/format.h"
#include "format/kdump/reader.h"
#include "kcoredump/text.h"
#include "source/page_reader.h"

namespace kcoredump {

namespace {

/// Bytes of the stream and where they belong in the file that is meant.
struct Piece {
  uint64_t target = 0;
  uint64_t position = 0;  ///< in the stream: the larger, the later
  uint64_t bytes = 0;

  [[nodiscard]] uint64_t end() const { return target + bytes; }
  [[nodiscard]] Piece Part(uint64_t from, uint64_t to) const {
    return {.target = from, .position = position + (from - target), .bytes = to - from};
  }
};

/// The records of a stream, from its start to its end.
class RecordWalk {
 public:
  explicit RecordWalk(const InputFile& file) : file_(file) {}

  Result<std::vector<Piece>> Run() {
    for (uint64_t position = kFlattenedHeaderBytes;;) {
      KCD_ASSIGN(const auto head, HeadAt(position));
      if (!head) {
        torn_ = "the flattened stream has no end mark: it was cut off";
        break;
      }
      if (head->IsEnd()) break;
      position += kFlattenedRecordBytes;
      if (head->offset < 0 || head->bytes <= 0 ||
          head->offset > std::numeric_limits<int64_t>::max() - head->bytes) {
        torn_ =
            "the flattened stream is damaged before " + Hex(position) + ": what follows is lost";
        break;
      }
      const auto bytes = static_cast<uint64_t>(head->bytes);
      const uint64_t there = file_.bytes > position ? file_.bytes - position : 0;
      KCD_TRY(Add(static_cast<uint64_t>(head->offset), position, std::min(bytes, there)));
      if (bytes > there) {
        torn_ = "the flattened stream ends within a record: it was cut off";
        break;
      }
      position += bytes;
    }
    return std::move(pieces_);
  }

  [[nodiscard]] const std::string& torn() const { return torn_; }

 private:
  /// Nothing: the stream ends here.
  Result<std::optional<FlattenedRecord>> HeadAt(uint64_t position) {
    if (position < window_begin_ ||
        position + kFlattenedRecordBytes > window_begin_ + window_end_) {
      KCD_ASSIGN(window_end_, file_.read_at(position, window_));
      window_begin_ = position;
    }
    if (window_end_ < position - window_begin_ + kFlattenedRecordBytes) {
      return std::optional<FlattenedRecord>();
    }
    const auto bytes = std::span<const std::byte>(window_)
                           .subspan(position - window_begin_)
                           .first<kFlattenedRecordBytes>();
    return std::optional<FlattenedRecord>(DecodeFlattenedRecord(bytes));
  }

  Status Add(uint64_t target, uint64_t position, uint64_t bytes) {
    if (bytes == 0) return {};
    if (pieces_.size() == kMaxFlattenedRecords) {
      return MakeError(ErrorCode::kLimitExceeded,
                       "a flattened stream of more than " + Grouped(kMaxFlattenedRecords) +
                           " records; makedumpfile -R makes a plain file of it");
    }
    pieces_.push_back({.target = target, .position = position, .bytes = bytes});
    return {};
  }

  /// Small records are looked at many at a time.
  static constexpr size_t kWindowBytes = 4096;

  const InputFile& file_;
  std::vector<Piece> pieces_;
  std::string torn_;
  std::array<std::byte, kWindowBytes> window_{};
  uint64_t window_begin_ = 0;
  size_t window_end_ = 0;
};

/// What is seen of pieces that lie on each other, the later ones on top. A sweep over the file that
/// is meant.
class Sweep {
 public:
  explicit Sweep(const std::vector<Piece>& by_target) : all_(by_target) {}

  std::vector<Piece> Run() {
    for (size_t i = 0; i < all_.size(); ++i) {
      Show(all_[i].target);
      covering_.push({all_[i].position, i});
    }
    Show(std::numeric_limits<uint64_t>::max());
    return std::move(seen_);
  }

 private:
  /// Goes on to `end`; which piece is on top does not change before it but where one ends.
  void Show(uint64_t end) {
    while (at_ < end && !covering_.empty()) {
      const Piece& top = all_[covering_.top().second];
      if (top.end() <= at_) {
        covering_.pop();
        continue;
      }
      Add(top.Part(at_, std::min(top.end(), end)));
    }
    at_ = std::max(at_, end);
  }

  void Add(const Piece& piece) {
    at_ = piece.end();
    if (!seen_.empty()) {
      Piece& last = seen_.back();
      if (last.end() == piece.target && last.position + last.bytes == piece.position) {
        last.bytes += piece.bytes;
        return;
      }
    }
    seen_.push_back(piece);
  }

  const std::vector<Piece>& all_;
  std::priority_queue<std::pair<uint64_t, size_t>> covering_;  ///< by position
  std::vector<Piece> seen_;
  uint64_t at_ = 0;
};

/// By target and free of overlap.
std::vector<Piece> InOrder(std::vector<Piece> pieces) {
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
    return std::pair(a.target, a.position) < std::pair(b.target, b.position);
  });
  const bool overlap =
      std::adjacent_find(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
        return b.target < a.end();
      }) != pieces.end();
  return overlap ? Sweep(pieces).Run() : pieces;
}

/// Reads the file that is meant. Immutable; any thread may call.
class RearrangedFile {
 public:
  RearrangedFile(InputFile stream, std::vector<Piece> pieces, bool torn)
      : stream_(std::move(stream)), pieces_(InOrder(std::move(pieces))), torn_(torn) {}

  [[nodiscard]] uint64_t bytes() const { return pieces_.empty() ? 0 : pieces_.back().end(); }

  Result<size_t> ReadAt(uint64_t offset, std::span<std::byte> out) const {
    size_t done = 0;
    while (done < out.size() && offset + done < bytes()) {
      KCD_ASSIGN(const size_t count, ReadSome(offset + done, out.subspan(done)));
      if (count == 0) break;
      done += count;
    }
    return done;
  }

 private:
  /// From one record, or from what lies between two pieces. 0: the file ends here.
  Result<size_t> ReadSome(uint64_t offset, std::span<std::byte> out) const {
    const auto after =
        std::upper_bound(pieces_.begin(), pieces_.end(), offset,
                         [](uint64_t at, const Piece& piece) { return at < piece.target; });
    if (after == pieces_.begin() || offset >= std::prev(after)->end()) {
      // What a torn stream does not have may have been in its missing end.
      if (torn_ || after == pieces_.end()) return size_t{0};
      const size_t bytes = std::min<uint64_t>(out.size(), after->target - offset);
      KCD_TRY(ZeroFill(out.first(bytes)));
      return bytes;
    }
    const Piece& piece = *std::prev(after);
    const uint64_t inside = offset - piece.target;
    const uint64_t bytes = std::min<uint64_t>(out.size(), piece.bytes - inside);
    return stream_.read_at(piece.position + inside, out.first(bytes));
  }

  InputFile stream_;
  std::vector<Piece> pieces_;
  bool torn_;
};

}  // namespace

Result<InputFile> Rearranged(const InputFile& flattened) {
  std::array<std::byte, kFlattenedFieldsBytes> fields{};
  KCD_TRY(flattened.ReadExactly(0, fields));
  KCD_TRY(CheckFlattenedHeader(fields));
  RecordWalk walk(flattened);
  KCD_ASSIGN(std::vector<Piece> pieces, walk.Run());
  const auto file =
      std::make_shared<const RearrangedFile>(flattened, std::move(pieces), !walk.torn().empty());
  InputFile rearranged = flattened;
  rearranged.bytes = file->bytes();
  rearranged.torn = walk.torn();
  rearranged.read_at = [file](uint64_t offset, std::span<std::byte> out) {
    return file->ReadAt(offset, out);
  };
  return rearranged;
}

Result<std::unique_ptr<MemorySource>> OpenFlattened(const std::string& path) {
  KCD_ASSIGN(const InputFile stream, OpenInputFile(path));
  auto file = Rearranged(stream);
  if (!file.ok()) return std::move(file.error()).WithContext(path);
  std::array<std::byte, sizeof(KdumpMainHeader::signature)> head{};
  KCD_ASSIGN(const size_t count, file.value().read_at(0, head));
  if (count == head.size() && std::memcmp(head.data(), kKdumpSignature, head.size()) == 0) {
    return OpenKdumpIn(file.value());
  }
  if (count == head.size() && std::memcmp(head.data(), "\177ELF", 4) == 0) {
    return OpenElfCoreIn(file.value());
  }
  return MakeError(ErrorCode::kUnsupported,
                   path + ": a flattened file, but neither a kdump file nor an ELF core is in it" +
                       (file.value().torn.empty() ? "" : " (" + file.value().torn + ")"));
}

}  // namespace kcoredump
