// SPDX-License-Identifier: MIT
#include "capture/system_notes.h"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/file.h"
#include "base/json_depth.h"
#include "elf/elf_core.h"
#include "format/codec.h"
#include "format/snapshot/format.h"
#include "kcoredump/text.h"
#include "kcoredump/version.h"
#include "source/iomem.h"
#include "source/kcore_source.h"

namespace kcoredump {

namespace {

using nlohmann::json;

constexpr size_t kMaxFileBytes = 48 << 20;
constexpr size_t kMaxSmallFileBytes = 1 << 20;
/// Room set aside at once, so that growing never holds two copies; pages cost memory when touched.
constexpr size_t kReserveBytes = kMaxNoteBytes;
/// Of them, kept for the metadata.
constexpr size_t kMetaReserveBytes = 1 << 20;
constexpr char kBtfDirectory[] = "/sys/kernel/btf";

/// Appends notes whose data comes straight from files.
class NoteAppender {
 public:
  explicit NoteAppender(SystemNotes& notes) : notes_(notes) {}

  void AddBytes(NoteType type, std::span<const std::byte> data) {
    const size_t start = Begin(type);
    notes_.bytes.insert(notes_.bytes.end(), data.begin(), data.end());
    End(start, type);
  }

  /// The file's content after `prefix`. False: it could not be read; a warning says why.
  bool AddFile(NoteType type, const std::string& path, std::span<const std::byte> prefix = {}) {
    const size_t start = Begin(type);
    notes_.bytes.insert(notes_.bytes.end(), prefix.begin(), prefix.end());
    const size_t room = kMaxNoteBytes - kMetaReserveBytes -
                        std::min(notes_.bytes.size(), kMaxNoteBytes - kMetaReserveBytes);
    if (Status status = AppendFile(path, std::min(kMaxFileBytes, room), notes_.bytes);
        !status.ok()) {
      notes_.bytes.resize(start);
      notes_.warnings.push_back("not in the snapshot: " + status.error().message);
      return false;
    }
    End(start, type);
    return true;
  }

  /// Takes the newest note back.
  void Drop() { notes_.bytes.resize(last_start_); }
  [[nodiscard]] std::string_view LastText() const {
    return AsText(std::span<const std::byte>(notes_.bytes).subspan(last_data_, last_bytes_));
  }

 private:
  size_t Begin(NoteType type) {
    last_start_ = notes_.bytes.size();
    AppendNoteHeader(notes_.bytes, kNoteOwner, static_cast<uint32_t>(type), 0);
    last_data_ = notes_.bytes.size();
    return last_start_;
  }
  /// Writes the header again, now that the data's length is known.
  void End(size_t start, NoteType type) {
    last_bytes_ = notes_.bytes.size() - last_data_;
    std::vector<std::byte> header;
    AppendNoteHeader(header, kNoteOwner, static_cast<uint32_t>(type),
                     static_cast<uint32_t>(last_bytes_));
    std::copy(header.begin(), header.end(), notes_.bytes.begin() + static_cast<ptrdiff_t>(start));
    notes_.bytes.resize(AlignUp(notes_.bytes.size(), 4));
  }

  SystemNotes& notes_;
  size_t last_start_ = 0;
  size_t last_data_ = 0;
  size_t last_bytes_ = 0;
};

std::string SmallFile(const std::string& path) {
  const auto text = ReadTextFile(path, kMaxSmallFileBytes);
  return text.ok() ? std::string(TrimmedRight(text.value())) : std::string();
}

uint64_t ClockNs(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

std::string UtcNow() {
  const time_t now = time(nullptr);
  tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

json MetaOf(const MemorySource& source, const CaptureOptions& options, const SystemNotes& notes) {
  utsname host{};
  uname(&host);
  const bool live = source.kind() == SourceKind::kLive;
  json meta = {{"tool", "kcoredump"},
               {"version", kVersion},
               {"zstd", ZstdVersion()},
               {"source", options.source},
               {"source_kind", live ? "live" : "file"},
               {"capturing_host", host.nodename},
               {"started_utc", UtcNow()},
               {"utc_ns", ClockNs(CLOCK_REALTIME)},
               {"monotonic_ns", ClockNs(CLOCK_MONOTONIC)},
               {"boottime_ns", ClockNs(CLOCK_BOOTTIME)},
               {"arguments", options.arguments},
               {"page_bytes", source.page_bytes()},
               {"level", options.level},
               {"frame_size", options.frame_bytes}};
  if (!live) return meta;
  meta["host"] = host.nodename;
  meta["kernel_release"] = host.release;
  meta["boot_id"] = SmallFile("/proc/sys/kernel/random/boot_id");
  meta["lockdown"] = notes.lockdown;
  meta["kptr_restrict"] = SmallFile("/proc/sys/kernel/kptr_restrict");
  meta["kallsyms"] = KallsymsStateName(notes.kallsyms);
  meta["page_flags"] = PageFlagsName(PageFlagsOf(source));
  meta["iomem"] = {{"state", IomemStateName(notes.iomem.state)},
                   {"differences", notes.iomem.differences}};
  return meta;
}

void AddKallsyms(NoteAppender& appender, SystemNotes& notes) {
  if (!appender.AddFile(NoteType::kKallsyms, "/proc/kallsyms")) return;
  if (KallsymsShowsAddresses(appender.LastText())) {
    notes.kallsyms = KallsymsState::kIncluded;
    return;
  }
  notes.kallsyms = KallsymsState::kHidden;
  notes.warnings.emplace_back(
      "kallsyms hides its addresses (kernel.kptr_restrict, CAP_SYSLOG) and was left out; "
      "vmcoreinfo still gives the KASLR offset");
  appender.Drop();
}

void AddBtf(NoteAppender& appender) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(kBtfDirectory, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  // vmlinux first: the modules' types build upon its own.
  std::sort(names.begin(), names.end());
  std::stable_partition(names.begin(), names.end(),
                        [](const std::string& name) { return name == "vmlinux"; });
  for (const std::string& name : names) {
    std::vector<std::byte> prefix(AlignUp(name.size() + 1, 8));
    std::memcpy(prefix.data(), name.data(), name.size());
    appender.AddFile(NoteType::kBtf, std::string(kBtfDirectory) + "/" + name, prefix);
  }
}

void CheckIomem(const MemorySource& source, SystemNotes& notes, std::string_view text) {
  notes.iomem = CompareIomem(text, source.map().RamRanges(), source.page_bytes());
  for (const std::string& difference : notes.iomem.differences) {
    notes.warnings.push_back("/proc/iomem and the program headers disagree: " + difference);
  }
}

void CollectLive(const MemorySource& source, NoteAppender& appender, SystemNotes& notes) {
  notes.lockdown = LockdownState();
  appender.AddFile(NoteType::kVersion, "/proc/version");
  appender.AddFile(NoteType::kCmdline, "/proc/cmdline");
  if (appender.AddFile(NoteType::kIomem, "/proc/iomem")) {
    CheckIomem(source, notes, appender.LastText());
  }
  appender.AddFile(NoteType::kModules, "/proc/modules");
  appender.AddFile(NoteType::kVmallocinfo, "/proc/vmallocinfo");
  AddKallsyms(appender, notes);
  AddBtf(appender);
}

/// Where the data of a note stands among the bytes of its segment.
struct KeptNote {
  uint32_t type = 0;
  size_t offset = 0;
  size_t bytes = 0;
};

/// Moves the notes to the front of `bytes`, which hold them: no header of ours is longer than the
/// one that it replaces.
void MoveTogether(const std::vector<KeptNote>& notes, std::vector<std::byte>& bytes) {
  size_t end = 0;
  std::vector<std::byte> header;
  for (const KeptNote& note : notes) {
    header.clear();
    AppendNoteHeader(header, kNoteOwner, note.type, static_cast<uint32_t>(note.bytes));
    std::copy(header.begin(), header.end(), bytes.begin() + static_cast<ptrdiff_t>(end));
    end += header.size();
    std::memmove(bytes.data() + end, bytes.data() + note.offset, note.bytes);
    const size_t padded = AlignUp(end + note.bytes, 4);
    if (padded > bytes.size()) bytes.resize(padded);
    std::fill(bytes.begin() + static_cast<ptrdiff_t>(end + note.bytes),
              bytes.begin() + static_cast<ptrdiff_t>(padded), std::byte{0});
    end = padded;
  }
  bytes.resize(end);
}

/// The notes of a snapshot, packed or not, that is captured anew; in place, for they are too large
/// to hold twice. Its metadata, which is returned, goes into our own.
json CollectFromSource(const MemorySource& source, SystemNotes& notes) {
  auto segment = source.VendorNotes();
  const auto parsed =
      segment.ok() ? segment.value().Parse() : Result<std::vector<Note>>(segment.error());
  if (!parsed.ok()) {
    notes.warnings.push_back("the source's own notes are lost: " + parsed.error().message);
    return nullptr;
  }
  json meta;
  std::vector<KeptNote> kept;
  const std::byte* begin = segment.value().bytes().data();
  for (const Note& note : parsed.value()) {
    const auto type = static_cast<NoteType>(note.type);
    if (note.owner != kNoteOwner) continue;
    if (type == NoteType::kKallsyms) notes.kallsyms = KallsymsState::kIncluded;
    if (type != NoteType::kMeta) {
      kept.push_back({.type = note.type,
                      .offset = static_cast<size_t>(note.data.data() - begin),
                      .bytes = note.data.size()});
    } else if (note.data.size() <= kMaxSmallFileBytes && IsShallowJson(AsText(note.data))) {
      meta = json::parse(AsText(note.data), nullptr, false);
    }
  }
  notes.bytes = std::move(segment.value()).Take();
  MoveTogether(kept, notes.bytes);
  return meta.is_object() ? meta : json(nullptr);
}

}  // namespace

bool KallsymsShowsAddresses(std::string_view text) {
  for (const std::string_view symbol : {" _stext\n", " _text\n"}) {
    const size_t at = text.find(symbol);
    if (at == std::string_view::npos) continue;
    const size_t line = text.rfind('\n', at) + 1;  // npos + 1 is 0: the first line
    const std::string_view address = text.substr(line, std::min<size_t>(at - line, 16));
    return address.find_first_not_of('0') < address.find(' ');
  }
  return false;
}

PageFlagsState PageFlagsOf(const MemorySource& source) {
  if (source.kind() != SourceKind::kLive) return PageFlagsState::kNotApplicable;
  return source.labels_known() ? PageFlagsState::kUsed : PageFlagsState::kUnavailable;
}

std::string_view PageFlagsName(PageFlagsState state) {
  switch (state) {
    case PageFlagsState::kUsed:
      return "used";
    case PageFlagsState::kUnavailable:
      return "unavailable";
    case PageFlagsState::kNotApplicable:
      return "not-applicable";
  }
  return "unavailable";
}

std::string_view KallsymsStateName(KallsymsState state) {
  switch (state) {
    case KallsymsState::kIncluded:
      return "included";
    case KallsymsState::kHidden:
      return "hidden";
    case KallsymsState::kUnavailable:
      return "unavailable";
  }
  return "unavailable";
}

std::string_view IomemStateName(IomemState state) {
  switch (state) {
    case IomemState::kAgrees:
      return "agrees";
    case IomemState::kDiffers:
      return "differs";
    case IomemState::kHidden:
      return "hidden";
    case IomemState::kUnavailable:
      return "unavailable";
  }
  return "unavailable";
}

SystemNotes CollectSystemNotes(const MemorySource& source, const CaptureOptions& options) {
  SystemNotes notes;
  NoteAppender appender(notes);
  json source_meta;
  if (source.kind() == SourceKind::kLive) {
    notes.bytes.reserve(kReserveBytes);
    CollectLive(source, appender, notes);
  } else {
    source_meta = CollectFromSource(source, notes);
  }
  for (std::string& caveat : source.Caveats()) notes.warnings.push_back(std::move(caveat));
  // Last, for it tells what became of the others.
  json object = MetaOf(source, options, notes);
  if (!source_meta.is_null()) object["source_meta"] = std::move(source_meta);
  const std::string meta = object.dump(-1, ' ', false, json::error_handler_t::replace);
  appender.AddBytes(NoteType::kMeta, std::as_bytes(std::span(meta)));
  return notes;
}

}  // namespace kcoredump
