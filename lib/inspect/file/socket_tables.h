// SPDX-License-Identifier: MIT
//
// The tables that /proc/net shows sockets from.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "inspect/task/tasks.h"
#include "symbol/record.h"

namespace kcoredump {

/// For one thread. `sources` must outlive it.
class SocketTables {
 public:
  /// False: enough.
  using Visit = std::function<bool(uint64_t sock)>;

  /// kNotFound: this kernel lacks struct sock_common.
  [[nodiscard]] static Result<SocketTables> Create(const TaskSources& sources, Findings& findings);

  /// Every socket of every table once, by address of its struct sock.
  void Walk(const Visit& visit);

 private:
  /// Where chains of a sort of table hang.
  struct Buckets {
    std::string what;        ///< "the table of TCP sockets"
    uint64_t first = 0;      ///< address of the first bucket's head pointer
    uint64_t count = 0;      ///< buckets
    uint64_t stride = 8;     ///< bytes from one to the next
    Field node;              ///< of what hangs there
    uint64_t lock_bits = 0;  ///< of a head pointer
  };

  SocketTables(const TaskSources& sources, Findings& findings)
      : sources_(sources), findings_(findings) {}
  void FindNamespaces();
  void WalkTcp(const Visit& visit);
  void WalkTcpTable(uint64_t hashinfo, const Visit& visit);
  void WalkUdp(const Visit& visit);
  void WalkUdpTable(uint64_t table, const char* what, const Visit& visit);
  void WalkRaw(const Visit& visit);
  void WalkUnix(const Visit& visit);
  void WalkNetlink(const Visit& visit);
  void WalkPacket(const Visit& visit);
  void WalkBuckets(const Buckets& buckets, const Visit& visit);
  void WalkHead(const Buckets& buckets, uint64_t node, const Visit& visit);
  [[nodiscard]] uint64_t WordAt(uint64_t address);
  [[nodiscard]] Field FindIn(const char* type, const char* member) const;
  void Missing(const char* what);

  const TaskSources& sources_;
  Findings& findings_;
  std::vector<uint64_t> namespaces_;  ///< struct net
  Field node_;                        ///< of struct sock
  std::unordered_set<uint64_t> met_;  ///< struct sock
  uint64_t table_bytes_left_ = 0;     ///< of buckets, that tables may have
};

}  // namespace kcoredump
