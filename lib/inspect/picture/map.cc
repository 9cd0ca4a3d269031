// SPDX-License-Identifier: MIT
#include "kcoredump/map.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/output_file.h"
#include "base/try.h"
#include "inspect/picture/map_canvas.h"
#include "inspect/picture/map_pages.h"
#include "inspect/session.h"

namespace kcoredump {

namespace {

constexpr std::array kMapBys = {MapBy::kClass, MapBy::kOutcome, MapBy::kEntropy, MapBy::kTime};

/// Pages asked for at once.
constexpr uint64_t kTellPages = 4096;

/// Where in RAM the file has pages, and where it only says that there are some.
struct Piece {
  Range range;
  bool present = false;
};

/// RAM, cut where the file begins and ends to have pages, and where segments do.
std::vector<Piece> PiecesOf(const MemorySource& source) {
  const std::vector<Range> ram = source.map().RamRanges();
  const std::vector<Range> present = Normalized(source.PresentRanges());
  std::vector<Piece> pieces;
  for (const Range& range : Subtract(ram, Subtract(ram, present))) {
    pieces.push_back({.range = range, .present = true});
  }
  std::vector<Range> in_file;
  for (const Segment& segment : source.map().ram()) {
    in_file.push_back({segment.phys, segment.phys + segment.file_bytes});
  }
  // What the headers promise and the file does not have, and what they do not promise.
  const std::vector<Range> absent = Subtract(ram, present);
  const std::vector<Range> left_out = Subtract(absent, Normalized(std::move(in_file)));
  for (const Range& range : left_out) pieces.push_back({.range = range});
  for (const Range& range : Subtract(absent, left_out)) pieces.push_back({.range = range});
  std::sort(pieces.begin(), pieces.end(),
            [](const Piece& a, const Piece& b) { return a.range.begin < b.range.begin; });
  return pieces;
}

/// Adds runs of pages of one kind.
void AddKinds(std::span<const size_t> kinds, MapCanvas& canvas) {
  for (size_t first = 0; first < kinds.size();) {
    size_t end = first + 1;
    while (end < kinds.size() && kinds[end] == kinds[first]) ++end;
    canvas.Add(end - first, kinds[first]);
    first = end;
  }
}

/// Of what the file does not have, one page speaks for all: forged headers can promise terabytes.
/// What has no label would be beyond the file's end.
size_t KindOfAbsent(SourceReader& reader, const PageTeller& teller, uint64_t first) {
  PageLabel label;
  reader.Label(PhysAddr{first}, {&label, 1});
  if (!IsHole(label.outcome)) label = {.outcome = PageOutcome::kUnreadable};
  return teller.KindOfHole(label);
}

Result<MemoryMapPicture> DrawAll(const MemorySource& source, PageTeller& teller,
                                 const MapOptions& options) {
  KCD_ASSIGN(const auto labels, source.NewReader());
  const uint64_t page = source.page_bytes();
  MapCanvas canvas(source.map().RamRanges(), teller.Kinds(), options, page);
  std::vector<size_t> kinds;
  for (const Piece& piece : PiecesOf(source)) {
    if (!piece.present) {
      canvas.Add(piece.range.size() / page, KindOfAbsent(*labels, teller, piece.range.begin));
      continue;
    }
    for (uint64_t at = piece.range.begin; at < piece.range.end; at += kTellPages * page) {
      kinds.assign(std::min(kTellPages, (piece.range.end - at) / page), 0);
      teller.Tell(PhysAddr{at}, kinds);
      AddKinds(kinds, canvas);
    }
  }
  return canvas.Finish();
}

MemoryMapPicture DrawSample(const MemorySource& source, PageSampler& sampler,
                            const MapOptions& options) {
  const auto kinds = sampler.Kinds();
  MapCanvas canvas(source.map().RamRanges(), kinds, options, source.page_bytes());
  for (size_t cell = 0; cell < canvas.cells(); ++cell) {
    std::vector<uint64_t> seen(kinds.size());
    double sum = 0;
    uint64_t with_entropy = 0;
    for (const uint64_t page : canvas.SampleOf(cell, sampler.sample_pages())) {
      const PageSampler::Sample sample = sampler.Look(PhysAddr{page});
      ++seen[sample.kind];
      if (!sample.entropy) continue;
      sum += *sample.entropy;
      ++with_entropy;
    }
    canvas.AddSample(
        cell, seen,
        with_entropy == 0 ? std::nullopt : std::optional(sum / static_cast<double>(with_entropy)));
  }
  return canvas.Finish();
}

std::string SampleNote(const PageSampler& sampler) {
  return "sizes are estimates, from " + std::to_string(sampler.sample_pages()) +
         " pages of each cell";
}

Result<MemoryMapPicture> DrawSampled(Session& session, Result<std::unique_ptr<PageSampler>> sampler,
                                     const MapOptions& options) {
  if (!sampler.ok()) return std::move(sampler.error());
  MemoryMapPicture picture = DrawSample(session.source(), *sampler.value(), options);
  if (picture.sampled) picture.findings.Add(SampleNote(*sampler.value()));
  return picture;
}

Result<MemoryMapPicture> DrawClasses(Session& session, const MapOptions& options) {
  std::vector<std::string> notes;
  const auto teller = TellByClass(session, notes);
  if (teller.ok()) {
    KCD_ASSIGN(MemoryMapPicture picture, DrawAll(session.source(), *teller.value(), options));
    for (std::string& note : notes) picture.findings.Add(std::move(note));
    return picture;
  }
  KCD_ASSIGN(auto picture, DrawSampled(session, SampleZeros(session), options));
  picture.findings.Add("what pages are used for is not known, only whether they are zero: " +
                       teller.error().message);
  return picture;
}

}  // namespace

std::string_view MapByName(MapBy by) {
  switch (by) {
    case MapBy::kClass:
      return "class";
    case MapBy::kOutcome:
      return "outcome";
    case MapBy::kEntropy:
      return "entropy";
    case MapBy::kTime:
      return "time";
  }
  return "class";
}

Result<MapBy> ParseMapBy(std::string_view text) {
  for (const MapBy by : kMapBys) {
    if (MapByName(by) == text) return by;
  }
  return InvalidArgument("\"" + std::string(text) + "\" is none of class, outcome, entropy, time");
}

Result<MemoryMapPicture> DrawMemory(Kernel& kernel, const MapOptions& options) {
  if (options.width == 0 || options.width > kMaxMapSide || options.height == 0 ||
      options.height > kMaxMapSide) {
    return InvalidArgument("a map is 1 to " + std::to_string(kMaxMapSide) + " cells wide and high");
  }
  Session& session = kernel.session();
  if (options.by == MapBy::kClass) return DrawClasses(session, options);
  if (options.by == MapBy::kEntropy) return DrawSampled(session, SampleEntropy(session), options);
  KCD_ASSIGN(const auto teller,
             options.by == MapBy::kTime ? TellByTime(session) : TellByOutcome(session));
  return DrawAll(session.source(), *teller, options);
}

Status WriteWhole(const std::string& output, std::string_view bytes, bool force) {
  std::unique_ptr<ByteSink> sink = CreatePipeSink(STDOUT_FILENO);
  if (output != "-") {
    KCD_ASSIGN(sink, CreateOutputFile(output, force));
  }
  KCD_TRY(sink->Write(std::as_bytes(std::span(bytes))));
  KCD_TRY(sink->Publish(true));
  return {};
}

}  // namespace kcoredump
