// SPDX-License-Identifier: MIT
//
// A kernel, live or dead, as a target that GDB and LLDB attach to: read-only, by GDB's remote
// protocol.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "kcoredump/kernel.h"
#include "kcoredump/result.h"

namespace kcoredump {

inline constexpr char kDefaultServeAddress[] = "127.0.0.1:1234";

/// Runs what a debugger's `monitor` asks for and gives its text to `output`, which returns false
/// when nobody wants more; to call it with no text asks just that, and is to be done a few times a
/// second. Called from threads of the server's own, one for each debugger that waits for a command.
using MonitorCommand = std::function<void(std::string_view command,
                                          const std::function<bool(std::string_view)>& output)>;

/// Where debuggers come from.
enum class ServeWay : uint8_t {
  kStdio,   ///< the one that started us: standard input and output
  kListen,  ///< a TCP address, HOST:PORT or [HOST]:PORT; port 0: any that is free
  kUnix,    ///< a socket in the file system, mode 0600, which must not be there yet
};

struct ServeEvent {
  enum class Kind : uint8_t {
    kReady,  ///< debuggers may come; `text` is the address as GDB's `target remote` takes it
    kNote,   ///< what weakens what debuggers are told; each once. May quote the image
    kCame,   ///< `client` did
    kGone,   ///< `client` is, for the reason in `text`
  };
  Kind kind = Kind::kNote;
  std::string text = {};
  std::string client = {};
  /// Of kReady: how far KASLR moved the kernel, for GDB's `add-symbol-file VMLINUX -o OFFSET`.
  std::optional<uint64_t> symbol_offset = std::nullopt;
};

/// For people, without a line's end.
[[nodiscard]] std::string ToText(const ServeEvent& event);
/// One JSON object without line breaks: {"event", "text", "client", "symbol_offset"}.
[[nodiscard]] std::string ToJson(const ServeEvent& event);

struct ServeOptions {
  ServeWay way = ServeWay::kListen;
  std::string where = kDefaultServeAddress;  ///< of kListen and kUnix
  bool allow_remote = false;  ///< of kListen: an address that is not this machine's own
  MonitorCommand monitor;     ///< empty: `monitor` is refused
  std::function<void(const ServeEvent&)> on_event;  ///< may be empty
  /// Set by anyone, a signal handler included, to end it. May be null; must outlive the call.
  const std::atomic<bool>* cancel = nullptr;
};

/// Serves until it is cancelled or, with kStdio, the debugger hangs up; both are success. Whatever
/// a client sends, it costs that client's connection at most. SIGPIPE must be ignored. Errors:
/// kUnsupported: not an x86_64 kernel; kInvalidArgument: an address that is remote or none; kIo.
///
/// Threads are the tasks of the list of processes, by pid. A task that sleeps has the registers of
/// the function that it called the scheduler from; one that runs has those of its CPU's note in
/// the dump of a kernel that died, and none otherwise; where no thread has a program counter, the
/// first one's is 0, for debuggers want one to attach. Nothing of a live kernel is kept: every
/// packet reads anew.
[[nodiscard]] Status Serve(Kernel& kernel, const ServeOptions& options);

}  // namespace kcoredump
