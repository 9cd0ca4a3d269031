// SPDX-License-Identifier: MIT
//
// What hostile bytes reach. A target fails by crashing, by a sanitizer, or by Require.
#include "fuzz/targets.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "base/bytes.h"
#include "elf/elf_core.h"
#include "format/raw/format.h"
#include "format/snapshot/format.h"
#include "format/snapshot/reader.h"
#include "inspect/code/disassembler.h"
#include "kcoredump/inspect.h"
#include "kernel/vmcoreinfo.h"
#include "serve/gdb_stub.h"
#include "serve/packet.h"
#include "source/iomem.h"
#include "source/memory_map.h"
#include "support/elf_builder.h"
#include "support/fake_source.h"
#include "support/fake_target.h"
#include "support/files.h"
#include "support/kdump_builder.h"
#include "support/lime_builder.h"
#include "support/one_thread.h"
#include "support/raw_snapshot.h"

namespace kcoredump::test {

namespace {

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

void FuzzElf(std::span<const std::byte> input) {
  const Bytes bytes(input.begin(), input.end());
  (void)NoteSegment::Copy(bytes).Parse();
  const auto core = ParseElf(bytes);
  if (!core.ok()) return;
  const ReadAtFunction read_at = [&](uint64_t offset, std::span<std::byte> out) -> Result<size_t> {
    return ReadFromBytes(bytes, offset, out);
  };
  if (const ProgramHeader* header = core.value().Find(PT_NOTE)) {
    const auto notes = NoteSegment::Read(read_at, *header);
    if (notes.ok()) (void)notes.value().Parse();
  }
  for (const auto dialect : {MemoryMap::Dialect::kKcore, MemoryMap::Dialect::kDump}) {
    const auto map = MemoryMap::Build(core.value(), dialect, kPage);
    if (!map.ok()) continue;
    uint64_t end = 0;
    for (const Segment& segment : map.value().ram()) {
      Require(segment.phys >= end, "RAM is sorted and free of overlap");
      end = segment.PhysRange().end;
      Require(map.value().Find(PhysAddr{segment.phys}).has_value(), "RAM is found where it is");
      (void)map.value().ToPhysical(VirtAddr{segment.virt.begin});
    }
  }
}

/// Everything a user may do with a file of any format.
void UseFile(const std::string& path) {
  const auto info = Describe(path);
  if (info.ok()) {
    (void)ToText(info.value());
    (void)ToJson(info.value());
  }
  if (auto memory = Memory::Open(path); memory.ok()) {
    auto reader = memory.value().NewReader();
    Require(reader.ok(), "an open image gives readers");
    std::vector<std::byte> out(8 * kPage);
    (void)reader.value().Read(PhysAddr{0x1000}, out);
    (void)reader.value().Read(PhysAddr{0x11000}, out);
    (void)reader.value().Read(VirtAddr{kImageBase - 7}, out);
  }
  const auto report = Verify(path, OneThread());
  if (!report.ok()) return;
  (void)ToText(report.value());
  if (!report.value().complete) return;
  Require(info.ok() || !report.value().damage.empty(), "what cannot be opened is not sound");
}

void FuzzImage(std::span<const std::byte> input) {
  static MemoryFile file;
  file.Set(input);
  UseFile(file.path());
}

/// The input as the ranges beside a raw image.
void FuzzRaw(std::span<const std::byte> input) {
  const auto ranges = ParseRawRanges(AsText(input));
  if (!ranges.ok()) return;
  const auto again = ParseRawRanges(ToJson(ranges.value()));
  Require(again.ok() && again.value() == ranges.value(), "ranges survive being written and read");
}

void FuzzIomem(std::span<const std::byte> input) {
  const auto ram = ParseIomem(AsText(input), kPage);
  if (ram.ok()) {
    uint64_t end = 0;
    for (const Range& range : ram.value()) {
      Require(!range.empty() && range.begin >= end, "ranges are sorted and free of overlap");
      end = range.end;
    }
  }
  (void)CompareIomem(AsText(input), {{0x1000, 0x9f000}}, kPage);
}

void FuzzVmcoreinfo(std::span<const std::byte> input) {
  const auto info = VmcoreInfo::Parse(AsText(input));
  if (!info.ok()) return;
  for (const char* name : {"_stext", "phys_base", "VA_BITS"}) {
    (void)info.value().Symbol(name);
    (void)info.value().Number(name);
  }
  (void)info.value().KaslrOffset();
}

/// Code of both machines, decoded as a sweep does.
void FuzzCode(std::span<const std::byte> input) {
  for (const uint16_t machine : {uint16_t{EM_X86_64}, uint16_t{EM_AARCH64}}) {
    const auto made = Disassembler::Create(machine, AssemblySyntax::kAtt);
    Require(made.ok(), "both machines are known");
    Disassembler& disassembler = *made.value();
    for (size_t at = 0; at < input.size();) {
      const auto rest = input.subspan(at, std::min(input.size() - at, kMaxInstructionBytes));
      const auto decoded = disassembler.Decode(kImageBase + at, rest);
      if (decoded) {
        Require(decoded->bytes != 0 && decoded->bytes <= rest.size(), "a length within the bytes");
        Require(decoded->target_at <= decoded->operands.size(), "a target within the operands");
      }
      at += decoded ? decoded->bytes : disassembler.step_bytes();
    }
  }
}

RawSnapshot SampleSnapshot() {
  ElfBuilder core;
  core.AddNote("VMCOREINFO", 0, "OSRELEASE=6.1\nPAGESIZE=4096\n");
  core.AddAlias(kImageBase, 0x3000, kPage);
  core.AddRam(0x1000, 4 * kPage);
  RawSnapshot raw = RawSnapshot::Of(core.Build(), 8192);
  raw.trailer.runs = {{.first = PhysAddr{0x2000}, .pages = 1, .outcome = PageOutcome::kUnreadable}};
  return raw;
}

/// The input as a trailer; its hash, which no mutation would hit, is put right first.
void FuzzTrailer(std::span<const std::byte> input) {
  const RawSnapshot raw = SampleSnapshot();
  (void)DecodeTrailer(input, raw.entries);
  RawSnapshot forged = raw;
  forged.trailer_head = Bytes(input.begin(), input.end());
  const Bytes payload = forged.EncodedTrailer();
  const auto trailer = DecodeTrailer(payload, raw.entries);
  if (!trailer.ok()) return;
  uint64_t end = 0;
  for (const PageRun& run : trailer.value().runs) {
    Require(run.first.address >= end, "runs are sorted and free of overlap");
    end = run.first.address + run.pages * trailer.value().page_bytes;
  }
  FuzzImage(forged.Build());
}

/// A sample, and what is made from it, with its base beside it.
struct IncrementalSample {
  TempDir folder;
  RawSnapshot base = SampleSnapshot();
  RawSnapshot made = RawSnapshot::On(base, "base");
  IncrementalSample() { WriteFile(folder.Path("base"), base.Build()); }
};

/// The input as what stands in the place of frames that the base has.
void FuzzReferences(std::span<const std::byte> input) {
  static const IncrementalSample sample;
  RawSnapshot forged = sample.made;
  for (size_t i = 1; i < forged.frames.size() && !input.empty(); ++i) {
    const auto frame = input.first(std::min(input.size(), kReferenceBytes));
    forged.frames[i].assign(frame.begin(), frame.end());
    forged.entries[i].compressed_bytes = static_cast<uint32_t>(frame.size());
    input = input.subspan(frame.size());
  }
  WriteFile(sample.folder.Path("new"), forged.Build());
  UseFile(sample.folder.Path("new"));
}

std::vector<Bytes> ReferenceSeeds() {
  Bytes references;
  for (const Bytes& frame : RawSnapshot::On(SampleSnapshot(), "base").frames) {
    if (DecodeReference(frame)) references.insert(references.end(), frame.begin(), frame.end());
  }
  return {references};
}

std::vector<Bytes> ElfSeeds() {
  ElfBuilder extended = SmallCore();
  extended.extended_count = true;
  Bytes small = SmallCore().Build();
  small.resize(4096);
  return {small, extended.Build(), NoteBytes("VMCOREINFO", 0, "A=1\n")};
}

/// An incremental one has no base beside it where the fuzzer puts it: what it begins with is read.
std::vector<Bytes> SnapshotSeeds() {
  const RawSnapshot sample = SampleSnapshot();
  return {sample.Build(), SmallCore().Build(), RawSnapshot::On(sample, "base.elf.zst").Build()};
}

std::vector<Bytes> KdumpSeeds() {
  KdumpBuilder part = SmallKdump();
  part.part = {0, 20};
  KdumpBuilder incomplete = SmallKdump();
  incomplete.status |= kIncompleteFlag;
  KdumpBuilder old = SmallKdump();
  old.version = 3;
  old.notes.clear();
  old.vmcoreinfo = "OSRELEASE=6.1\nPAGESIZE=4096\n";
  return {SmallKdump().Build(), part.Build(), incomplete.Build(), old.Build()};
}

std::vector<Bytes> FlattenedSeeds() {
  return {Flattened(SmallKdump().Build(), 3000), Flattened(SmallCore().Build(), 30000)};
}

std::vector<Bytes> LimeSeeds() {
  Bytes two = LimeRange(0x1000, 0x3000);
  const Bytes second = LimeRange(0x10000, 0x12000);
  two.insert(two.end(), second.begin(), second.end());
  return {LimeRange(0x1000, 0x2000), two};
}

std::vector<Bytes> AvmlSeeds() {
  Bytes two = AvmlBlock(0x1000, 0x9000);
  const Bytes second = AvmlBlock(0x10000, 0x30000, 5000);
  two.insert(two.end(), second.begin(), second.end());
  return {AvmlBlock(0x1000, 0x3000), two};
}

std::vector<Bytes> RawSeeds() {
  RawRanges ranges;
  ranges.page_bytes = kPage;
  ranges.machine = EM_X86_64;
  ranges.ranges = {{.phys = {0x1000, 0x9000}, .offset = 0},
                   {.phys = {0x10000, 0x11000}, .offset = 99}};
  ranges.holes = {{.first = PhysAddr{0x2000}, .pages = 2, .outcome = PageOutcome::kExcluded}};
  return {ToBytes(ToJson(ranges))};
}

std::vector<Bytes> IomemSeeds() {
  return {
      ToBytes("00001000-0009fbff : System RAM\n00100000-7ffdcfff : System RAM\n"
              "  01000000-01e00fff : Kernel code\n")};
}

std::vector<Bytes> VmcoreinfoSeeds() {
  return {
      ToBytes("OSRELEASE=6.1\nSYMBOL(_stext)=ffffffff81000000\nNUMBER(phys_base)=-1\n"
              "NUMBER(VA_BITS)=0x30\nKERNELOFFSET=1e00000\n")};
}

std::vector<Bytes> TrailerSeeds() {
  const RawSnapshot raw = SampleSnapshot();
  return {EncodeTrailerHead(raw.trailer, static_cast<uint32_t>(raw.entries.size()))};
}

std::vector<Bytes> CodeSeeds() {
  return {
      ToBytes(
          "\xf3\x0f\x1e\xfa\xe8\xfb\x0f\x01\x01\x48\x8b\x05\xf9\x0f\x01\x01\x67\x0f\xb9\x40\x12"),
      ToBytes("\x62\xf3\xd5\x48\x25\xc4\x96\xc4\xe3\x7d\x44\xef\x11\x66\x0f\x38\xf8\x07"),
      ToBytes("\x3f\x23\x03\xd5\x02\x01\x21\xb8\x01\x8c\x40\xf9\x01\x01\x01\x94")};
}

/// What a debugger's client may send, packet after packet.
void FuzzPackets(std::span<const std::byte> input) {
  FakeTarget target;
  GdbStub stub(target);
  PacketParser parser;
  std::string_view bytes = AsText(input);
  while (const auto event = parser.Next(bytes)) {
    if (event->kind != PacketKind::kPacket) continue;
    const StubReply reply = stub.Answer(event->content);
    Require(reply.content.size() <= kMaxPacketBytes, "an answer fits into a packet");
    PacketParser back;
    const std::string packet = MakePacket(reply.content);
    std::string_view rest = packet;
    const auto parsed = back.Next(rest);
    Require(parsed && parsed->kind == PacketKind::kPacket && rest.empty(), "an answer is a packet");
  }
}

std::vector<Bytes> PacketSeeds() {
  std::vector<Bytes> seeds;
  for (const char* content :
       {"?", "g", "p10", "mffff888000001000,40", "Hg2a", "T1", "qSupported:swbreak+",
        "qXfer:features:read:target.xml:0,ffb", "qXfer:threads:read::0,ffb",
        "qXfer:memory-map:read::0,ffb", "qThreadExtraInfo,1", "qfThreadInfo", "qRcmd,7073",
        "qMemoryRegionInfo:800000000000", "qThreadStopInfo2a", "X1000,4:}]ab", "vCont;c:1",
        "Z0,1000,1", "D"}) {
    const std::string packets = MakePacket("qfThreadInfo") + "+" + MakePacket(content);
    const auto bytes = std::as_bytes(std::span(packets));
    seeds.emplace_back(bytes.begin(), bytes.end());
  }
  return seeds;
}

constexpr std::array kTargets = {
    FuzzTarget{.name = "elf", .run = FuzzElf, .seeds = ElfSeeds},
    FuzzTarget{.name = "snapshot", .run = FuzzImage, .seeds = SnapshotSeeds},
    FuzzTarget{.name = "kdump", .run = FuzzImage, .seeds = KdumpSeeds},
    FuzzTarget{.name = "flattened", .run = FuzzImage, .seeds = FlattenedSeeds},
    FuzzTarget{.name = "lime", .run = FuzzImage, .seeds = LimeSeeds},
    FuzzTarget{.name = "avml", .run = FuzzImage, .seeds = AvmlSeeds},
    FuzzTarget{.name = "raw", .run = FuzzRaw, .seeds = RawSeeds},
    FuzzTarget{.name = "iomem", .run = FuzzIomem, .seeds = IomemSeeds},
    FuzzTarget{.name = "vmcoreinfo", .run = FuzzVmcoreinfo, .seeds = VmcoreinfoSeeds},
    FuzzTarget{.name = "trailer", .run = FuzzTrailer, .seeds = TrailerSeeds},
    FuzzTarget{.name = "references", .run = FuzzReferences, .seeds = ReferenceSeeds},
    FuzzTarget{.name = "code", .run = FuzzCode, .seeds = CodeSeeds},
    FuzzTarget{.name = "packets", .run = FuzzPackets, .seeds = PacketSeeds},
};

}  // namespace

std::span<const FuzzTarget> FuzzTargets() { return kTargets; }

}  // namespace kcoredump::test
