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

/// Text of a monitor command that one packet takes, as two digits a byte.
constexpr size_t kMaxConsoleBytes = kMaxPacketBytes / 2 - 1;
constexpr size_t kThreadsPerPacket = 1000;

StubReply Say(std::string content) { return {.content = std::move(content)}; }

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
  return "PacketSize=" + Hex(kMaxPacketBytes).substr(2) +
         ";QStartNoAckMode+;qXfer:features:read+;qXfer:threads:read+;qXfer:memory-map:read+";
}

}  // namespace

StubReply GdbStub::Answer(std::string_view content,
                          const std::function<bool(std::string_view content)>& progress) {
  if (content.empty()) return {};
  if (TakePrefix(content, "qRcmd,")) return Monitor(content, progress);
  if (TakePrefix(content, "q")) return AnswerQuery(content);
  if (TakePrefix(content, "v")) return AnswerV(content);
  if (content == "QStartNoAckMode") return {.content = "OK", .no_acks = true};
  const char letter = content.front();
  return AnswerLetter(letter, content.substr(1));
}

StubReply GdbStub::AnswerLetter(char letter, Rest rest) {
  switch (letter) {
    case '?':
      return Say("T05thread:" + Hex(CurrentThread()).substr(2) + ";");
    case 'g':
      return Say(AllRegisters(target_.ReadRegisters(CurrentThread())));
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
  if (query == "C") return Say("QC" + Hex(CurrentThread()).substr(2));
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
  if (query == "Offsets") {
    // Of the one segment given, all sections of a kernel's file follow: where KASLR put them.
    const auto text = target_.TextStart();
    return text ? Say("TextSeg=" + Hex(*text).substr(2)) : StubReply();
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

StubReply GdbStub::ReadRegister(Rest rest) {
  const auto number = TakeHex(rest);
  // LLDB may name the thread behind a semicolon, but only where that was offered.
  if (!number || !rest.empty()) return Say(kBadPacket);
  auto value = OneRegister(target_.ReadRegisters(CurrentThread()), *number);
  return Say(value ? std::move(*value) : kBadPacket);
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

/// Until one is chosen, the first whose program counter is known: debuggers look at it at once.
uint32_t GdbStub::CurrentThread() {
  if (current_ != 0) return current_;
  if (threads_.empty()) ListThreads();
  if (threads_.empty()) return 1;
  current_ = threads_.front().id;
  for (const DebugThread& thread : threads_) {
    if (!target_.ReadRegisters(thread.id)[kRip]) continue;
    current_ = thread.id;
    break;
  }
  return current_;
}

StubReply GdbStub::MoreThreads() {
  if (threads_told_ >= threads_.size()) return Say("l");
  std::string list;
  const size_t end = std::min(threads_.size(), threads_told_ + kThreadsPerPacket);
  for (; threads_told_ < end; ++threads_told_) {
    list += list.empty() ? "m" : ",";
    list += Hex(threads_[threads_told_].id).substr(2);
  }
  return Say(std::move(list));
}

StubReply GdbStub::ThreadExtra(Rest rest) {
  const auto id = TakeHex(rest);
  const DebugThread* thread = id && rest.empty() ? FindThread(*id) : nullptr;
  if (thread == nullptr) return Say(kBadPacket);
  return Say(HexOf(Escaped(thread->name) + " " + Escaped(thread->extra)));
}

std::string GdbStub::ThreadsDocument() {
  ListThreads();
  std::string text = "<?xml version=\"1.0\"?>\n<threads>\n";
  for (const DebugThread& thread : threads_) {
    text += "<thread id=\"" + Hex(thread.id).substr(2) + "\" name=\"" + XmlText(thread.name) + "\"";
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

StubReply GdbStub::Monitor(Rest digits,
                           const std::function<bool(std::string_view content)>& progress) {
  const auto command = FromHex(digits);
  if (!command) return Say(kBadPacket);
  bool wanted = true;
  target_.Monitor(*command, [&](std::string_view text) {
    if (text.empty()) wanted = wanted && progress({});
    while (!text.empty() && wanted) {
      const std::string_view piece = text.substr(0, kMaxConsoleBytes);
      wanted = progress("O" + HexOf(piece));
      text.remove_prefix(piece.size());
    }
    return wanted;
  });
  return Say("OK");
}

}  // namespace kcoredump
