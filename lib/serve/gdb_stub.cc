// SPDX-License-Identifier: MIT
#include "serve/gdb_stub.h"

#include <algorithm>

#include "kcoredump/text.h"
#include "serve/packet.h"

namespace kcoredump {

namespace {

/// EINVAL and EFAULT, in hexadecimal: GDB shows "Cannot access memory at address 0x…".
constexpr char kBadPacket[] = "E16";
constexpr char kNoMemory[] = "E0e";

/// GDB prints what follows "E.". None of these may hold a byte that packets escape.
constexpr char kCannotRun[] =
    "E.this is a view of a kernel's memory, read-only: nothing in it can be run or stepped";
constexpr char kCannotWrite[] = "E.this is a view of a kernel's memory, read-only";
constexpr char kCannotBreak[] =
    "E.this is a view of a kernel's memory, read-only: nothing stops at a breakpoint";

constexpr size_t kThreadsPerPacket = 1000;

StubReply Say(std::string content) { return {.content = std::move(content)}; }

/// As packets have numbers: without 0x.
std::string Digits(uint64_t number) { return Hex(number).substr(2); }

std::string XmlText(std::string_view text) {
  std::string safe;
  for (const char byte : Escaped(text)) {
    switch (byte) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        safe += byte;
    }
  }
  return safe;
}

/// "x86_64-unknown-linux", for LLDB.
constexpr std::string_view kTriple = "7838365f36342d756e6b6e6f776e2d6c696e7578";

std::string Features() {
  return "PacketSize=" + Digits(kMaxPacketBytes) +
         ";QStartNoAckMode+;qXfer:features:read+;qXfer:threads:read+;qXfer:memory-map:read+";
}

}  // namespace

StubReply GdbStub::Answer(std::string_view content) {
  if (content.empty()) return {};
  if (TakePrefix(content, "q")) return AnswerQuery(content);
  if (TakePrefix(content, "v")) return AnswerV(content);
  if (content == "QStartNoAckMode") return {.content = "OK", .no_acks = true};
  const char letter = content.front();
  return AnswerLetter(letter, content.substr(1));
}

StubReply GdbStub::AnswerLetter(char letter, Rest rest) {
  switch (letter) {
    case '?':
      return Say(StopReply("T05", CurrentThread()));
    case 'g':
      return Say(AllRegisters(CurrentRegisters()));
    case 'p':
      return ReadRegister(rest);
    case 'm':
      return ReadMemory(rest);
    case 'H':
      return SetThread(rest);
    case 'T':
      return IsAlive(rest);
    case 'G':
    case 'P':
    case 'M':
    case 'X':
      return Say(kCannotWrite);
    case 'c':
    case 'C':
    case 's':
    case 'S':
      return Say(kCannotRun);
    case 'Z':
    case 'z':
      return Say(kCannotBreak);
    case 'D':
      return {.content = "OK", .hang_up = true};
    case 'k':
      return {.silent = true, .hang_up = true};
    default:
      return {};
  }
}

/// vCont? stays unknown, so that nobody takes us for something that runs.
StubReply GdbStub::AnswerV(Rest rest) {
  if (rest.starts_with("Kill")) return {.content = "OK", .hang_up = true};
  if (rest.starts_with("Cont;") || rest.starts_with("Run") || rest.starts_with("Attach")) {
    return Say(kCannotRun);
  }
  return {};
}

StubReply GdbStub::AnswerQuery(Rest query) {
  if (query.starts_with("Supported")) return Say(Features());
  if (query == "C") return Say("QC" + Digits(CurrentThread()));
  if (query.starts_with("Attached")) return Say("1");
  if (query.starts_with("Symbol:")) return Say("OK");
  if (query == "fThreadInfo") {
    ListThreads();
    threads_told_ = 0;
    return MoreThreads();
  }
  if (query == "sThreadInfo") return MoreThreads();
  if (TakePrefix(query, "ThreadExtraInfo,")) return ThreadExtra(query);
  if (TakePrefix(query, "Xfer:")) return Transfer(query);
  if (TakePrefix(query, "Rcmd,")) {
    auto command = FromHex(query);
    return command ? StubReply{.monitor = std::move(*command)} : Say(kBadPacket);
  }
  if (TakePrefix(query, "ThreadStopInfo")) return StopOf(query);
  if (TakePrefix(query, "MemoryRegionInfo:")) return RegionOf(query);
  if (query == "Offsets") {
    // Of the one segment given, all sections of a kernel's file follow: where KASLR put them.
    const auto text = target_.TextStart();
    return text ? Say("TextSeg=" + Digits(*text)) : StubReply();
  }
  if (query == "HostInfo")
    return Say("triple:" + std::string(kTriple) + ";ptrsize:8;endian:little;");
  if (query == "ProcessInfo") {
    return Say("pid:1;triple:" + std::string(kTriple) + ";ptrsize:8;endian:little;");
  }
  return {};
}

StubReply GdbStub::ReadMemory(Rest rest) {
  const auto address = TakeHex(rest);
  const bool comma = TakePrefix(rest, ",");
  const auto length = TakeHex(rest);
  if (!address || !comma || !length || !rest.empty()) return Say(kBadPacket);
  if (*length == 0) return Say("OK");    // LLDB asks so whether there is memory at all
  const uint64_t to_end = 0 - *address;  // 0: all of 2^64
  uint64_t bytes = std::min<uint64_t>(*length, kMaxPacketBytes / 2);
  if (to_end != 0) bytes = std::min(bytes, to_end);
  std::string out(bytes, '\0');
  const auto read =
      target_.ReadMemory(CurrentThread(), *address, std::as_writable_bytes(std::span(out)));
  if (!read.ok() || read.value() == 0) return Say(kNoMemory);
  return Say(HexOf(std::string_view(out).substr(0, read.value())));
}

/// GDB takes all registers at once. LLDB takes one at a time, and shows as it is whatever is no
/// error, unknown digits included; but an error to its first question, about register 0, would tell
/// it that there is no such packet.
StubReply GdbStub::ReadRegister(Rest rest) {
  const auto number = TakeHex(rest);
  if (!number || !rest.empty()) return Say(kBadPacket);
  auto value = OneRegister(CurrentRegisters(), *number);
  const bool known = value && value->front() != 'x';
  const bool probe = *number == 0 && !probed_;
  probed_ = probed_ || probe;
  return Say(known || probe ? std::move(*value) : kBadPacket);
}

/// Hg chooses for registers and memory; Hc is about running, which nothing does.
StubReply GdbStub::SetThread(Rest rest) {
  const bool general = TakePrefix(rest, "g");
  if (!general) return rest.starts_with("c") ? Say("OK") : Say(kBadPacket);
  if (rest == "-1" || rest == "0") return Say("OK");
  const auto id = TakeHex(rest);
  if (!id || !rest.empty()) return Say(kBadPacket);
  if (FindThread(*id) == nullptr) ListThreads();
  if (FindThread(*id) == nullptr) return Say(kBadPacket);
  current_ = static_cast<uint32_t>(*id);
  return Say("OK");
}

StubReply GdbStub::IsAlive(Rest rest) {
  const auto id = TakeHex(rest);
  if (!id || !rest.empty()) return Say(kBadPacket);
  return Say(FindThread(*id) != nullptr ? "OK" : kBadPacket);
}

void GdbStub::ListThreads() { threads_ = target_.ListThreads(); }

const DebugThread* GdbStub::FindThread(uint64_t id) const {
  const auto at = std::find_if(threads_.begin(), threads_.end(),
                               [&](const DebugThread& thread) { return thread.id == id; });
  return at == threads_.end() ? nullptr : &*at;
}

/// Until one is chosen, the first whose program counter is known: debuggers look at it at once. Of
/// a kernel that died, whoever was on a CPU comes first.
uint32_t GdbStub::CurrentThread() {
  if (current_ != 0) return current_;
  if (threads_.empty()) ListThreads();
  for (const bool on_cpu : {true, false}) {
    for (const DebugThread& thread : threads_) {
      if (thread.on_cpu != on_cpu || !target_.ReadRegisters(thread.id)[kRip]) continue;
      return current_ = thread.id;
    }
  }
  return current_ = nowhere_ = threads_.empty() ? 1 : threads_.front().id;
}

/// Debuggers do not attach to what has no program counter at all.
RegisterValues GdbStub::CurrentRegisters() {
  const uint32_t thread = CurrentThread();
  RegisterValues values = target_.ReadRegisters(thread);
  if (thread == nowhere_ && !values[kRip]) values[kRip] = 0;
  return values;
}

StubReply GdbStub::MoreThreads() {
  if (threads_told_ >= threads_.size()) return Say("l");
  std::string list;
  const size_t end = std::min(threads_.size(), threads_told_ + kThreadsPerPacket);
  for (; threads_told_ < end; ++threads_told_) {
    list += list.empty() ? "m" : ",";
    list += Digits(threads_[threads_told_].id);
  }
  return Say(std::move(list));
}

StubReply GdbStub::ThreadExtra(Rest rest) {
  const auto id = TakeHex(rest);
  const DebugThread* thread = id && rest.empty() ? FindThread(*id) : nullptr;
  if (thread == nullptr) return Say(kBadPacket);
  return Say(HexOf(Escaped(thread->name) + " " + Escaped(thread->extra)));
}

/// LLDB learns a thread's name so; GDB passes over it.
std::string GdbStub::StopReply(const std::string& stop, uint32_t id) const {
  std::string text = stop + "thread:" + Digits(id) + ";";
  const DebugThread* thread = FindThread(id);
  if (thread != nullptr) text += "hexname:" + HexOf(Escaped(thread->name)) + ";";
  return text;
}

StubReply GdbStub::StopOf(Rest rest) {
  const auto id = TakeHex(rest);
  if (!id || !rest.empty() || FindThread(*id) == nullptr) return Say(kBadPacket);
  return Say(StopReply("T00", static_cast<uint32_t>(*id)));
}

/// The range that holds an address, or the gap, which LLDB asks for until it has seen all of 2^64.
StubReply GdbStub::RegionOf(Rest rest) {
  const auto address = TakeHex(rest);
  if (!address || !rest.empty()) return Say(kBadPacket);
  Range region{0, 0};
  bool is_memory = false;
  for (const Range& range : target_.AddressRanges()) {
    const uint64_t last = range.end - 1;
    is_memory = *address >= range.begin && *address <= last;
    if (is_memory) region = range;
    if (is_memory) break;
    if (last < *address) region.begin = std::max(region.begin, range.end);
    if (range.begin > *address && (region.end == 0 || range.begin < region.end)) {
      region.end = range.begin;
    }
  }
  return Say("start:" + Digits(region.begin) + ";size:" + Digits(region.end - region.begin) + ";" +
             (is_memory ? "permissions:rx;" : ""));
}

std::string GdbStub::ThreadsDocument() {
  ListThreads();
  std::string text = "<?xml version=\"1.0\"?>\n<threads>\n";
  for (const DebugThread& thread : threads_) {
    text += "<thread id=\"" + Digits(thread.id) + "\" name=\"" + XmlText(thread.name) + "\"";
    if (thread.cpu) text += " core=\"" + std::to_string(*thread.cpu) + "\"";
    text += ">" + XmlText(thread.extra) + "</thread>\n";
  }
  return text + "</threads>\n";
}

/// All of it "rom": debuggers then know that nothing can be written. What of it is not mapped is an
/// error when it is read.
std::string GdbStub::MemoryMapDocument() {
  std::string text =
      "<?xml version=\"1.0\"?>\n<!DOCTYPE memory-map PUBLIC \"+//IDN gnu.org//DTD GDB Memory Map "
      "V1.0//EN\" \"http://sourceware.org/gdb/gdb-memory-map.dtd\">\n<memory-map>\n";
  for (const Range& range : target_.AddressRanges()) {
    text += "<memory type=\"rom\" start=\"" + Hex(range.begin) + "\" length=\"" +
            Hex(range.end - range.begin) + "\"/>\n";
  }
  return text + "</memory-map>\n";
}

/// OBJECT:read:ANNEX:OFFSET,LENGTH. A document is made when its beginning is asked for, so that the
/// pieces belong together.
StubReply GdbStub::Transfer(Rest rest) {
  std::string name;
  if (TakePrefix(rest, "features:read:target.xml:")) {
    name = "features";
  } else if (TakePrefix(rest, "threads:read::")) {
    name = "threads";
  } else if (TakePrefix(rest, "memory-map:read::")) {
    name = "memory-map";
  } else if (rest.starts_with("features:read:")) {
    return Say("E00");  // the manual: an annex that is not valid
  } else {
    return {};
  }
  const auto offset = TakeHex(rest);
  const bool comma = TakePrefix(rest, ",");
  const auto length = TakeHex(rest);
  if (!offset || !comma || !length || !rest.empty()) return Say("E00");
  std::string& document = documents_[name];
  if (*offset == 0) {
    document = name == "features"  ? TargetDescription()
               : name == "threads" ? ThreadsDocument()
                                   : MemoryMapDocument();
  }
  if (*offset >= document.size()) return Say("l");
  // Escapes may double what one packet takes.
  const size_t most = std::min<uint64_t>(*length, kMaxPacketBytes / 2 - 1);
  const std::string_view piece = std::string_view(document).substr(*offset, most);
  std::string content = *offset + piece.size() < document.size() ? "m" : "l";
  AppendEscaped(content, piece);
  return Say(std::move(content));
}

}  // namespace kcoredump
