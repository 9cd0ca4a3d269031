// SPDX-License-Identifier: MIT
#include "inspect/log/kernel_log.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "base/checked.h"
#include "base/error.h"
#include "base/range.h"
#include "base/try.h"
#include "inspect/log/printk_layout.h"
#include "inspect/session.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// The two top bits of prb_desc.state_var.
enum class DescState : uint8_t { kReserved = 0, kCommitted = 1, kFinalized = 2, kReusable = 3 };
constexpr unsigned kStateShift = 62;
constexpr uint64_t kIdMask = (uint64_t{1} << kStateShift) - 1;

/// Positions of records without a block: both words are odd (d397820f36ff).
constexpr uint64_t kEmptyLinePosition = 3;
constexpr uint64_t kBlockAlignment = 8;
constexpr uint64_t kBlockIdBytes = 8;

/// The kernel's own limit of log_buf_len is 2 GiB, of 32 bytes a descriptor (PRB_AVGBITS).
constexpr uint64_t kMinSizeBits = 4;
constexpr uint64_t kMaxSizeBits = 31;
constexpr uint64_t kMaxCountBits = 27;
constexpr uint64_t kWindowBytes = 1 << 20;
constexpr uint64_t kHoleBytes = 4096;

constexpr uint8_t kLogNewline = 2;  // LOG_NEWLINE, LOG_CONT of kernel/printk/printk_ringbuffer.h
constexpr uint8_t kLogCont = 8;

template <typename T>
T At(std::span<const std::byte> bytes, uint64_t offset) {
  T value{};
  if (offset <= bytes.size() && bytes.size() - offset >= sizeof(T)) {
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
  }
  return value;
}

std::string TextAt(std::span<const std::byte> bytes, uint64_t offset, uint64_t length) {
  if (offset > bytes.size() || bytes.size() - offset < length) return {};
  const char* text = reinterpret_cast<const char*>(bytes.data() + offset);
  return {text, strnlen(text, length)};
}

/// A stretch of memory read in large steps: a ring takes a few reads and not thousands.
class Window {
 public:
  Window(MemoryView& memory, uint64_t base, uint64_t bytes)
      : memory_(memory), base_(base), bytes_(bytes) {}

  /// The bytes stay until the next call.
  Result<std::span<const std::byte>> Bytes(uint64_t offset, uint64_t length) {
    if (offset > bytes_ || length > bytes_ - offset) {
      return MakeError(ErrorCode::kCorrupt, "past the end of a ring");
    }
    const bool held = offset >= begin_ && offset - begin_ <= buffer_.size() &&
                      length <= buffer_.size() - (offset - begin_);
    if (!held) KCD_TRY(Load(offset, length));
    return std::span<const std::byte>(buffer_).subspan(offset - begin_, length);
  }

  void Forget() {
    buffer_.clear();
    missing_ = {};
  }

 private:
  /// As much as lies before a hole, and where a hole was met, smaller steps for a while: a forged
  /// ring may be gigabytes of nothing.
  Status Load(uint64_t offset, uint64_t length) {
    const uint64_t address = base_ + offset;
    if (address < missing_.end && address + length > missing_.begin) {
      return MakeError(ErrorCode::kUnreadable, "missing memory");
    }
    begin_ = offset;
    buffer_.resize(std::max(length, std::min(step_bytes_, bytes_ - offset)));
    Status status = memory_.Read(address, buffer_);
    step_bytes_ = std::min(status.ok() ? step_bytes_ * 2 : kHoleBytes, kWindowBytes);
    if (!status.ok() && buffer_.size() > length) {
      const uint64_t good = status.error().address - address;
      buffer_.resize(good > length && good < buffer_.size() ? good : length);
      status = memory_.Read(address, buffer_);
    }
    if (!status.ok()) {
      buffer_.clear();
      const uint64_t hole = std::max(AlignDown(status.error().address, kHoleBytes), address);
      missing_ = {hole, AlignDown(hole, kHoleBytes) + kHoleBytes};
    }
    return status;
  }

  MemoryView& memory_;
  uint64_t base_;
  uint64_t bytes_;
  uint64_t begin_ = 0;
  uint64_t step_bytes_ = kWindowBytes;
  Range missing_;  ///< addresses of the hole last met, to the end of its page
  std::vector<std::byte> buffer_;
};

/// struct printk_ringbuffer, checked.
struct Ring {
  uint64_t count = 0, descs = 0, infos = 0, head_id = 0, tail_id = 0;
  unsigned size_bits = 0;
  uint64_t data = 0;
};

Result<Ring> ReadRing(MemoryView& memory, const PrintkLayout& layout, uint64_t prb_pointer) {
  KCD_ASSIGN(const uint64_t prb, memory.ReadValue<uint64_t>(prb_pointer));
  std::vector<std::byte> bytes(layout.ring_bytes);
  KCD_TRY(memory.Read(prb, bytes));
  const auto count_bits = At<uint32_t>(bytes, layout.count_bits);
  Ring ring;
  ring.size_bits = At<uint32_t>(bytes, layout.size_bits);
  if (count_bits == 0 || count_bits > kMaxCountBits || ring.size_bits < kMinSizeBits ||
      ring.size_bits > kMaxSizeBits) {
    return MakeError(ErrorCode::kCorrupt, "the log's description at " + Hex(prb) +
                                              " is damaged: 2^" + std::to_string(count_bits) +
                                              " records in 2^" + std::to_string(ring.size_bits) +
                                              " bytes of text");
  }
  ring.count = uint64_t{1} << count_bits;
  ring.descs = At<uint64_t>(bytes, layout.descs);
  ring.infos = At<uint64_t>(bytes, layout.infos);
  ring.head_id = At<uint64_t>(bytes, layout.head_id) & kIdMask;
  ring.tail_id = At<uint64_t>(bytes, layout.tail_id) & kIdMask;
  ring.data = At<uint64_t>(bytes, layout.data);
  if (!CheckedAdd(ring.descs, ring.count * layout.desc_bytes) ||
      !CheckedAdd(ring.infos, ring.count * layout.info_bytes) ||
      !CheckedAdd(ring.data, uint64_t{1} << ring.size_bits)) {
    return MakeError(ErrorCode::kCorrupt,
                     "the log's description at " + Hex(prb) + " is damaged: its rings wrap around");
  }
  return ring;
}

/// What became of a descriptor.
enum class Fate : uint8_t {
  kRead,
  kUnfinished,   ///< read, but the writer may append to it
  kReserved,     ///< being written
  kOverwritten,  ///< its place was given away, before or while it was read
  kTextLost,     ///< the kernel had no room for its text
  kMissing,      ///< memory that is not there
  kDamaged,      ///< contradicts itself
};
constexpr size_t kFates = 7;

class RingReader {
 public:
  RingReader(MemoryView& memory, const PrintkLayout& layout, const Ring& ring,
             const LogOptions& options, bool changing)
      : layout_(layout),
        ring_(ring),
        options_(options),
        changing_(changing),
        descs_(memory, ring.descs, ring.count * layout.desc_bytes),
        infos_(memory, ring.infos, ring.count * layout.info_bytes),
        data_(memory, ring.data, uint64_t{1} << ring.size_bits) {}

  KernelLog Read() {
    uint64_t id = FirstId();
    uint64_t left = ((ring_.head_id - id) & kIdMask) + 1;
    for (; left != 0; --left, id = (id + 1) & kIdMask) {
      LogRecord record;
      Fate fate = ReadRecord(id, record);
      if (fate == Fate::kDamaged && changing_) {
        // Of what was read earlier, some may have been overwritten since.
        for (Window* window : {&descs_, &infos_, &data_}) window->Forget();
        fate = ReadRecord(id, record);
      }
      const bool unfinished = fate == Fate::kUnfinished || fate == Fate::kReserved;
      if (options_.finished_only && unfinished) break;
      Take(fate, id, std::move(record));
    }
    if (changing_) DropOverwritten();
    Select();
    AddNotes();
    return std::move(log_);
  }

 private:
  /// The oldest descriptor; a damaged tail costs nothing but time.
  uint64_t FirstId() {
    const uint64_t span = (ring_.head_id - ring_.tail_id) & kIdMask;
    const uint64_t most = std::min<uint64_t>(ring_.count, kMaxLogRecords);
    if (span < most) return ring_.tail_id;
    if (span >= ring_.count)
      log_.findings.Lost("the log's oldest descriptor is not where its ring can hold it");
    if (ring_.count > most)
      log_.findings.Lost("the log is longer than " + Grouped(most) +
                         " records: older ones are left out");
    return (ring_.head_id - most + 1) & kIdMask;
  }

  Fate ReadRecord(uint64_t id, LogRecord& record) {
    const uint64_t index = id & (ring_.count - 1);
    const auto desc = descs_.Bytes(index * layout_.desc_bytes, layout_.desc_bytes);
    if (!desc.ok()) return Fate::kMissing;
    const auto state_var = At<uint64_t>(desc.value(), layout_.state);
    const auto state = static_cast<DescState>(state_var >> kStateShift);
    if ((state_var & kIdMask) != id || state == DescState::kReusable) return Fate::kOverwritten;
    if (state == DescState::kReserved) return Fate::kReserved;
    const auto begin = At<uint64_t>(desc.value(), layout_.begin);
    const auto next = At<uint64_t>(desc.value(), layout_.next);
    const auto info = infos_.Bytes(index * layout_.info_bytes, layout_.info_bytes);
    if (!info.ok()) return Fate::kMissing;
    FillInfo(info.value(), record);
    // The kernel numbers records so that a descriptor's place follows from its sequence.
    if ((record.sequence & (ring_.count - 1)) != index) return Fate::kDamaged;
    record.finished = state == DescState::kFinalized;
    const auto length = At<uint16_t>(info.value(), layout_.text_len);
    const Fate text = ReadText(id, begin, next, length, record.text);
    return text == Fate::kRead && !record.finished ? Fate::kUnfinished : text;
  }

  void FillInfo(std::span<const std::byte> info, LogRecord& record) const {
    record.sequence = At<uint64_t>(info, layout_.seq);
    record.time_ns = At<uint64_t>(info, layout_.time);
    record.caller_id = At<uint32_t>(info, layout_.caller);
    if (layout_.has_flags) {
      const auto flags = At<uint8_t>(info, layout_.text_len + 3);
      record.facility = At<uint8_t>(info, layout_.text_len + 2);
      record.level = static_cast<uint8_t>(flags >> 5);
      record.continuation = (flags & kLogCont) != 0;
      record.newline = (flags & kLogNewline) != 0;
    }
    record.subsystem = TextAt(info, layout_.subsystem, layout_.subsystem_bytes);
    record.device = TextAt(info, layout_.device, layout_.device_bytes);
  }

  Fate ReadText(uint64_t id, uint64_t begin, uint64_t next, uint64_t length, std::string& text) {
    if ((begin & next & 1) != 0) {
      const bool empty_line = begin == kEmptyLinePosition && next == kEmptyLinePosition;
      return empty_line ? Fate::kRead : Fate::kTextLost;
    }
    const auto block = FindBlock(begin, next);
    if (!block || block->bytes < kBlockIdBytes + length) return Fate::kDamaged;
    const auto bytes = data_.Bytes(block->offset, kBlockIdBytes + length);
    if (!bytes.ok()) return Fate::kMissing;
    if (At<uint64_t>(bytes.value(), 0) != id) return Fate::kDamaged;
    const auto stored = bytes.value().subspan(kBlockIdBytes);
    text.assign(reinterpret_cast<const char*>(stored.data()), stored.size());
    return Fate::kRead;
  }

  struct Block {
    uint64_t offset = 0;
    uint64_t bytes = 0;
  };

  /// Since 67e1b0052f6b a block may end exactly at the ring's end: `next` is then the first byte of
  /// the next round. So it is the block's last byte that tells whether it wraps.
  [[nodiscard]] std::optional<Block> FindBlock(uint64_t begin, uint64_t next) const {
    const uint64_t size = uint64_t{1} << ring_.size_bits;
    if (begin % kBlockAlignment != 0 || next % kBlockAlignment != 0) return std::nullopt;
    const uint64_t last_round = (next - 1) >> ring_.size_bits;
    if (begin >> ring_.size_bits == last_round && next - begin - 1 < size) {
      return Block{begin & (size - 1), next - begin};
    }
    const bool wraps = (begin + size) >> ring_.size_bits == last_round;
    if (!wraps || (next & (size - 1)) == 0) return std::nullopt;
    return Block{0, next & (size - 1)};
  }

  void Take(Fate fate, uint64_t id, LogRecord record) {
    const bool backwards = log_.last_sequence && record.sequence <= *log_.last_sequence;
    if (fate != Fate::kRead && fate != Fate::kUnfinished) return Count(fate);
    if (backwards) return Count(Fate::kDamaged);
    if (!log_.last_sequence) NoteOlder(record.sequence);
    log_.last_sequence = record.sequence;
    if (Wanted(record)) {
      ids_.push_back(id);
      log_.records.push_back(std::move(record));
    }
  }

  /// Text gives way before descriptors do: the oldest ones are usually reusable, and no loss.
  void Count(Fate fate) {
    if (fate != Fate::kOverwritten || log_.last_sequence) ++fates_[static_cast<size_t>(fate)];
  }

  /// What came before the first record and was not found in the ring.
  void NoteOlder(uint64_t first) {
    uint64_t known = options_.after_sequence ? *options_.after_sequence + 1 : 0;
    for (const uint64_t count : fates_) known += count;
    if (first <= known) return;
    log_.findings.Add(Grouped(first - known) +
                      (first - known == 1 ? " older record" : " older records") +
                      " had been overwritten: the log begins with number " + Grouped(first));
  }

  [[nodiscard]] bool Wanted(const LogRecord& record) const {
    if (options_.after_sequence && record.sequence <= *options_.after_sequence) return false;
    if (record.level && ((options_.levels >> *record.level) & 1) == 0) return false;
    if (options_.facilities == ~0U || !record.facility) return true;
    return *record.facility < 32 && ((options_.facilities >> *record.facility) & 1) != 0;
  }

  /// The kernel makes a descriptor reusable before it overwrites the text: what still has its id
  /// had it all the while.
  void DropOverwritten() {
    descs_.Forget();
    size_t kept = 0;
    for (size_t i = 0; i < ids_.size(); ++i) {
      const uint64_t index = ids_[i] & (ring_.count - 1);
      const auto desc = descs_.Bytes(index * layout_.desc_bytes, layout_.desc_bytes);
      const uint64_t state_var = desc.ok() ? At<uint64_t>(desc.value(), layout_.state) : 0;
      if (!desc.ok() || (state_var & kIdMask) != ids_[i] ||
          static_cast<DescState>(state_var >> kStateShift) == DescState::kReusable) {
        ++fates_[static_cast<size_t>(Fate::kOverwritten)];
        continue;
      }
      if (kept != i) log_.records[kept] = std::move(log_.records[i]);
      ++kept;
    }
    log_.records.resize(kept);
  }

  void Select() {
    if (!options_.tail || log_.records.size() <= *options_.tail) return;
    const auto cut = static_cast<ptrdiff_t>(log_.records.size() - *options_.tail);
    log_.records.erase(log_.records.begin(), log_.records.begin() + cut);
  }

  void AddNotes() {
    Findings& findings = log_.findings;
    if (!layout_.has_flags) {
      findings.Add(
          "struct printk_info is laid out in an unknown way: levels and facilities are "
          "not shown");
    }
    const auto say = [&](Fate fate, bool lost, const std::string& what) {
      const uint64_t count = fates_[static_cast<size_t>(fate)];
      if (count == 0) return;
      std::string note =
          Grouped(count) + (count == 1 ? " record of the log " : " records of the log ") + what;
      lost ? findings.Lost(std::move(note)) : findings.Add(std::move(note));
    };
    say(Fate::kReserved, false, "being written: not shown");
    say(Fate::kTextLost, false, "without text: the kernel had no room for it");
    say(Fate::kMissing, true, "in memory that is missing: not shown");
    say(Fate::kDamaged, true, "damaged: not shown");
    say(Fate::kOverwritten, !changing_, "overwritten by newer ones: not shown");
  }

  const PrintkLayout& layout_;
  const Ring& ring_;
  const LogOptions& options_;
  bool changing_;
  Window descs_;
  Window infos_;
  Window data_;
  KernelLog log_;
  std::vector<uint64_t> ids_;  ///< of log_.records
  std::array<uint64_t, kFates> fates_{};
};

}  // namespace

Result<KernelLog> ReadPrintkRing(MemoryView& memory, const VmcoreInfo& info,
                                 const LogOptions& options, bool changing) {
  const auto prb = info.Symbol("prb");
  if (!prb && info.Symbol("log_buf")) {
    return MakeError(ErrorCode::kUnsupported,
                     "this kernel keeps its log as Linux did before 5.10 (896fbe20b4e2): such a "
                     "log is not read");
  }
  if (!prb) {
    return MakeError(ErrorCode::kUnsupported,
                     info.empty() ? "the log cannot be found: this image has no VMCOREINFO"
                                  : "the log cannot be found: VMCOREINFO lacks SYMBOL(prb)");
  }
  KCD_ASSIGN(const PrintkLayout layout, ReadPrintkLayout(info));
  auto ring = ReadRing(memory, layout, *prb);
  if (!ring.ok()) return std::move(ring.error()).WithContext("reading the log");
  return RingReader(memory, layout, ring.value(), options, changing).Read();
}

Result<KernelLog> ReadLog(Kernel& kernel, const LogOptions& options) {
  Session& session = kernel.session();
  return ReadPrintkRing(session.kernel(), session.facts().vmcoreinfo, options, session.live());
}

}  // namespace kcoredump
