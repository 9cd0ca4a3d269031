// SPDX-License-Identifier: MIT
//
// A socket that is connected or bound is in a table of the kernel's; one that has a file is among
// the open files of some process.
#include "inspect/check/checks.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// "tcp6 LISTEN [::]:4444"
std::string SocketName(const SocketInfo& socket) {
  const auto end = [](const std::string& address, uint32_t port) {
    const bool six = address.find(':') != std::string::npos;
    return (six ? "[" + address + "]" : address) + ":" + std::to_string(port);
  };
  std::string text =
      socket.protocol + " " + socket.state + " " +
      (socket.protocol == "unix" ? socket.local : end(socket.local, socket.local_port));
  if (socket.remote_port != 0) text += " to " + end(socket.remote, socket.remote_port);
  return text;
}

/// Whether it must stand in its protocol's table. One that is closed or not bound is in none.
bool BelongsInTable(const SocketInfo& socket) {
  const std::string_view protocol = socket.protocol;
  if (protocol == "tcp" || protocol == "tcp6") {
    return socket.state != "CLOSE" && socket.state != "UNCONNECTED";
  }
  return (protocol == "udp" || protocol == "udp6") && socket.local_port != 0;
}

}  // namespace

void CheckSockets(const CheckSources& sources, const SocketList& sockets, CheckLog& log) {
  for (const std::string& note : sockets.findings.notes) log.Unchecked(note);
  const auto sock = Layout::Of(sources.kernel.types, "struct sock");
  const auto socket_type = Layout::Of(sources.kernel.types, "struct socket");
  const Field to_socket = sock.ok() ? sock.value().Find("sk_socket") : Field{};
  const Field file = socket_type.ok() ? socket_type.value().Find("file") : Field{};
  if (!to_socket.known() || !file.known()) {
    log.Unchecked("sockets without a process: this kernel lacks sock.sk_socket or socket.file");
  }
  for (const SocketInfo& socket : sockets.sockets) {
    log.Examined();
    if (!socket.owners.empty() && !socket.listed && BelongsInTable(socket)) {
      const SocketOwner& owner = socket.owners.front();
      log.Find({.kind = "hidden",
                .object = SocketName(socket),
                .compared = "the kernel's tables of sockets with what processes have open",
                .address = socket.address,
                .text = SocketName(socket) + ", open as descriptor " +
                        std::to_string(owner.descriptor) + " of PID " + std::to_string(owner.pid) +
                        " " + owner.comm + ", is not in the kernel's table"});
    }
    // What has left its socket (TIME_WAIT, orphans) is no struct sock, or has none.
    if (!socket.owners.empty() || socket.inode == 0 || !to_socket.known() || !file.known())
      continue;
    const uint64_t its_socket = sources.WordAt(socket.address + to_socket.offset);
    if (its_socket == 0 || sources.WordAt(its_socket + file.offset) == 0) continue;
    log.Find({.kind = "hidden",
              .object = SocketName(socket),
              .compared = "what processes have open with the kernel's tables of sockets",
              .address = socket.address,
              .text = SocketName(socket) +
                      " is an open file, and no process that is listed has it: its process is "
                      "hidden, or it is on its way over a UNIX socket or kept by io_uring"});
  }
}

}  // namespace kcoredump
