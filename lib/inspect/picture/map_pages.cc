// SPDX-License-Identifier: MIT
#include "inspect/picture/map_pages.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "base/try.h"
#include "base/zero.h"
#include "format/snapshot/reader.h"
#include "inspect/page/use_teller.h"
#include "inspect/picture/map_kinds.h"
#include "source/range_reader.h"

namespace kcoredump {

namespace {

/// nullptr: not a snapshot, or one without its end.
const SnapshotFile* SnapshotWithTrailer(const Session& session) {
  if (session.source().kind() != SourceKind::kSnapshot) return nullptr;
  const auto& snapshot = static_cast<const SnapshotSource&>(session.source());
  return snapshot.file().trailer() ? &snapshot.file() : nullptr;
}

/// What is common to all: labels first, for what is not there is nothing else.
class LabelledTeller : public PageTeller {
 public:
  explicit LabelledTeller(std::unique_ptr<SourceReader> reader) : reader_(std::move(reader)) {}

  void Tell(PhysAddr first, std::span<size_t> kinds) final {
    labels_.assign(kinds.size(), {});
    reader_->Label(first, labels_);
    TellLabelled(first, labels_, kinds);
  }

 protected:
  virtual void TellLabelled(PhysAddr first, std::span<const PageLabel> labels,
                            std::span<size_t> kinds) = 0;

 private:
  std::unique_ptr<SourceReader> reader_;
  std::vector<PageLabel> labels_;
};

class ClassTeller : public LabelledTeller {
 public:
  ClassTeller(std::unique_ptr<SourceReader> reader, std::unique_ptr<UseTeller> uses)
      : LabelledTeller(std::move(reader)), uses_(std::move(uses)) {}
  std::vector<MapKind> Kinds() const override { return ClassKinds(); }
  size_t KindOfHole(const PageLabel& hole) const override {
    return ClassKindOfHole(hole).value_or(kClassUnreadable);
  }

 protected:
  void TellLabelled(PhysAddr first, std::span<const PageLabel> labels,
                    std::span<size_t> kinds) override {
    told_.resize(kinds.size());
    uses_->Tell(first, told_);
    for (size_t i = 0; i < kinds.size(); ++i) {
      kinds[i] = ClassKindOfHole(labels[i]).value_or(ClassKindOf(told_[i]));
    }
  }

 private:
  std::unique_ptr<UseTeller> uses_;
  std::vector<PageUse> told_;
};

class OutcomeTeller : public LabelledTeller {
 public:
  OutcomeTeller(std::unique_ptr<SourceReader> reader, const std::vector<PageRun>* runs,
                uint64_t page_bytes)
      : LabelledTeller(std::move(reader)), runs_(runs), page_bytes_(page_bytes) {}
  std::vector<MapKind> Kinds() const override { return OutcomeKinds(); }
  size_t KindOfHole(const PageLabel& hole) const override {
    return static_cast<size_t>(hole.outcome);
  }

 protected:
  void TellLabelled(PhysAddr first, std::span<const PageLabel> labels,
                    std::span<size_t> kinds) override {
    for (size_t i = 0; i < kinds.size(); ++i) kinds[i] = static_cast<size_t>(labels[i].outcome);
    if (runs_ != nullptr) AddRetried(first, kinds);
  }

 private:
  /// Labels are of holes alone; what was read on its own stands in the trailer's runs.
  void AddRetried(PhysAddr first, std::span<size_t> kinds) const {
    const uint64_t end = first.value + kinds.size() * page_bytes_;
    auto run = std::partition_point(runs_->begin(), runs_->end(), [&](const PageRun& one) {
      return one.first.address + one.pages * page_bytes_ <= first.value;
    });
    for (; run != runs_->end() && run->first.address < end; ++run) {
      if (IsHole(run->outcome)) continue;
      const uint64_t from = std::max(run->first.address, first.value);
      const uint64_t to = std::min(run->first.address + run->pages * page_bytes_, end);
      std::fill(kinds.begin() + static_cast<ptrdiff_t>((from - first.value) / page_bytes_),
                kinds.begin() + static_cast<ptrdiff_t>((to - first.value) / page_bytes_),
                static_cast<size_t>(run->outcome));
    }
  }

  const std::vector<PageRun>* runs_;  ///< nullptr: none are told
  uint64_t page_bytes_;
};

/// When the memory of the frame that a page lies in had been read.
class TimeTeller : public LabelledTeller {
 public:
  TimeTeller(std::unique_ptr<SourceReader> reader, const MemoryMap& map, const SnapshotFile& file,
             uint64_t page_bytes)
      : LabelledTeller(std::move(reader)), map_(map), file_(file), page_bytes_(page_bytes) {
    const auto& times = file.trailer()->frame_ms;
    last_ms_ = times.empty() ? 0 : *std::max_element(times.begin(), times.end());
  }
  std::vector<MapKind> Kinds() const override { return TimeKinds(last_ms_); }
  size_t KindOfHole(const PageLabel& hole) const override {
    return ScaleKindOfHole(hole).value_or(kScaleUnreadable);
  }

 protected:
  void TellLabelled(PhysAddr first, std::span<const PageLabel> labels,
                    std::span<size_t> kinds) override {
    for (size_t i = 0; i < kinds.size(); ++i) {
      const auto hole = ScaleKindOfHole(labels[i]);
      kinds[i] = hole ? *hole : StepOf(PhysAddr{first.value + i * page_bytes_});
    }
  }

 private:
  [[nodiscard]] size_t StepOf(PhysAddr page) const {
    const auto extent = map_.Find(page);
    const FrameSpan* frame = extent && extent->in_file ? file_.FrameAt(extent->offset) : nullptr;
    if (frame == nullptr) return kScaleUnknown;
    const auto index = static_cast<size_t>(frame - file_.frames().data());
    const auto& times = file_.trailer()->frame_ms;
    if (index >= times.size()) return kScaleUnknown;
    return uint64_t{times[index]} * kScaleSteps / (uint64_t{last_ms_} + 1);
  }

  const MemoryMap& map_;
  const SnapshotFile& file_;
  uint64_t page_bytes_;
  uint32_t last_ms_ = 0;
};

/// Reads one page at a time.
class ReadingSampler : public PageSampler {
 public:
  ReadingSampler(std::unique_ptr<RangeReader> reader, uint64_t page_bytes)
      : reader_(std::move(reader)), page_(page_bytes) {}

  Sample Look(PhysAddr page) final {
    report_.Clear();
    // The buffer is good memory and a page does not wrap around: a read has no other error.
    if (!reader_->Read(page, page_, report_).ok()) return {.kind = OfHole({})};
    if (const PageRun* hole = report_.FirstHole()) {
      return {.kind = OfHole({.outcome = hole->outcome,
                              .system_errno = hole->system_errno,
                              .page_class = hole->page_class})};
    }
    return OfBytes(page_);
  }

 protected:
  [[nodiscard]] virtual size_t OfHole(const PageLabel& label) const = 0;
  [[nodiscard]] virtual Sample OfBytes(std::span<const std::byte> bytes) const = 0;

 private:
  std::unique_ptr<RangeReader> reader_;
  std::vector<std::byte> page_;
  ReadReport report_;
};

class EntropySampler : public ReadingSampler {
 public:
  using ReadingSampler::ReadingSampler;
  std::vector<MapKind> Kinds() const override { return EntropyKinds(); }
  uint64_t sample_pages() const override { return kEntropySample; }

 protected:
  size_t OfHole(const PageLabel& label) const override {
    return ScaleKindOfHole(label).value_or(kScaleUnknown);
  }
  Sample OfBytes(std::span<const std::byte> bytes) const override {
    if (IsZero(bytes)) return {.kind = kScaleZero, .entropy = 0};
    const double entropy = EntropyOf(bytes);
    return {.kind = std::min(static_cast<size_t>(entropy), kScaleSteps - 1), .entropy = entropy};
  }
};

class ZeroSampler : public ReadingSampler {
 public:
  using ReadingSampler::ReadingSampler;
  std::vector<MapKind> Kinds() const override { return ClassKinds(); }
  uint64_t sample_pages() const override { return kZeroSample; }

 protected:
  size_t OfHole(const PageLabel& label) const override {
    return ClassKindOfHole(label).value_or(kClassUnknown);
  }
  Sample OfBytes(std::span<const std::byte> bytes) const override {
    return {.kind = IsZero(bytes) ? kClassZero : kClassData};
  }
};

template <typename Sampler>
Result<std::unique_ptr<PageSampler>> MakeSampler(Session& session) {
  KCD_ASSIGN(auto reader, RangeReader::Create(session.source(), {}));
  return std::unique_ptr<PageSampler>(
      std::make_unique<Sampler>(std::move(reader), session.source().page_bytes()));
}

}  // namespace

double EntropyOf(std::span<const std::byte> bytes) {
  std::array<uint32_t, 256> counts{};
  for (const std::byte byte : bytes) ++counts[static_cast<size_t>(byte)];
  const auto total = static_cast<double>(bytes.size());
  double bits = 0;
  for (const uint32_t count : counts) {
    if (count != 0) bits -= count / total * std::log2(count / total);
  }
  return bits;
}

Result<std::unique_ptr<PageTeller>> TellByClass(Session& session, std::vector<std::string>& notes) {
  KCD_ASSIGN(auto uses, UseTeller::Create(session, notes));
  KCD_ASSIGN(auto reader, session.source().NewReader());
  return std::unique_ptr<PageTeller>(
      std::make_unique<ClassTeller>(std::move(reader), std::move(uses)));
}

Result<std::unique_ptr<PageTeller>> TellByOutcome(Session& session) {
  KCD_ASSIGN(auto reader, session.source().NewReader());
  const SnapshotFile* file = SnapshotWithTrailer(session);
  return std::unique_ptr<PageTeller>(std::make_unique<OutcomeTeller>(
      std::move(reader), file == nullptr ? nullptr : &file->trailer()->runs,
      session.source().page_bytes()));
}

Result<std::unique_ptr<PageTeller>> TellByTime(Session& session) {
  const SnapshotFile* file = SnapshotWithTrailer(session);
  if (file == nullptr) {
    return MakeError(
        ErrorCode::kUnsupported,
        session.source().path() + " does not tell when its pages were read: a whole snapshot does");
  }
  KCD_ASSIGN(auto reader, session.source().NewReader());
  return std::unique_ptr<PageTeller>(std::make_unique<TimeTeller>(
      std::move(reader), session.source().map(), *file, session.source().page_bytes()));
}

Result<std::unique_ptr<PageSampler>> SampleEntropy(Session& session) {
  return MakeSampler<EntropySampler>(session);
}

Result<std::unique_ptr<PageSampler>> SampleZeros(Session& session) {
  return MakeSampler<ZeroSampler>(session);
}

}  // namespace kcoredump
