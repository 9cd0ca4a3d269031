// SPDX-License-Identifier: MIT
//
// Sockets of every family, from the kernel's own tables and from what processes have open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"

namespace kcoredump {

/// More are not listed, and a note says so.
inline constexpr size_t kMaxSockets = 1 << 20;

struct SocketOwner {
  uint32_t pid = 0;
  uint32_t descriptor = 0;
  std::string comm;
};

/// A struct sock (kernel: include/net/sock.h). Strings may hold anything: escape them for a
/// terminal (ToText does).
struct SocketInfo {
  /// "tcp", "tcp6", "udp", "udp6", "udplite", "raw", "unix", "netlink", "packet", …, or "inet/N",
  /// "family/N" by the kernel's numbers.
  std::string protocol;
  std::string type;   ///< "stream", "dgram", "raw", "seqpacket"; empty: not known
  std::string state;  ///< "LISTEN", "ESTABLISHED", as ss(8) and netstat(8) name them
  /// An IP address, a UNIX path ("@name": abstract, its NULs as @), empty: none.
  std::string local;
  std::string remote;
  /// Ports; of netlink the port ids, of raw sockets the protocol, of packet sockets the Ethernet
  /// type and, as the remote one, the interface's index; 0: none.
  uint32_t local_port = 0;
  uint32_t remote_port = 0;
  uint32_t netlink_protocol = 0;  ///< NETLINK_…
  uint64_t inode = 0;             ///< "socket:[N]"; 0: it belongs to no file (TIME_WAIT, kernel)
  std::optional<uint32_t> uid;
  uint32_t namespace_inode = 0;     ///< as /proc/PID/ns/net; 0: not known
  std::vector<SocketOwner> owners;  ///< by pid
  /// In the table that /proc/net shows; one that is open but neither bound nor connected is in
  /// none.
  bool listed = false;
  uint64_t address = 0;  ///< of its struct sock
  uint64_t peer = 0;     ///< struct sock at the other end of a UNIX socket; 0: none
};

struct SocketList {
  std::vector<SocketInfo> sockets;  ///< by protocol, then local port, inode
  Findings findings;
};

/// All sockets, of every network namespace, without debuginfo. A protocol whose table cannot be
/// found is noted; its sockets are then found as far as processes have them open. kNotFound: this
/// kernel lacks struct sock.
[[nodiscard]] Result<SocketList> ListSockets(Kernel& kernel);

/// PROTO, STATE, LOCAL, REMOTE, INODE, UID, PROCESS.
[[nodiscard]] std::string ToText(const SocketList& list, const TextStyle& style);
[[nodiscard]] std::string ToJson(const SocketList& list);

}  // namespace kcoredump
