// SPDX-License-Identifier: MIT
#include "inspect/file/socket_tables.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "inspect/value/object_bytes.h"
#include "kcoredump/sockets.h"
#include "kcoredump/text.h"
#include "symbol/chain_walk.h"
#include "symbol/list_walk.h"

namespace kcoredump {

namespace {

/// The largest tables have a bucket for 64 KiB of memory, and half a million at most
/// (thash_entries), of 8 to 24 bytes.
constexpr uint64_t kMaxTableBytes = 64 << 20;
/// A namespace has UNIX sockets in 4 KiB of buckets.
constexpr uint64_t kMaxBytesOfTables = 512 << 20;
constexpr size_t kMaxNamespaces = 1 << 16;
constexpr uint64_t kUnixBuckets = 512;      ///< include/net/af_unix.h, UNIX_HASH_SIZE
constexpr uint64_t kNetlinkProtocols = 32;  ///< include/uapi/linux/netlink.h, MAX_LINKS
constexpr int kMaxSizesOfTable = 4;
constexpr uint64_t kPointerBytes = 8;

}  // namespace

Result<SocketTables> SocketTables::Create(const TaskSources& sources, Findings& findings) {
  SocketTables tables(sources, findings);
  tables.table_bytes_left_ = kMaxBytesOfTables;
  KCD_ASSIGN(const Layout common, Layout::Of(sources.types, "struct sock_common"));
  KCD_ASSIGN(tables.node_, common.Need("skc_node"));
  tables.FindNamespaces();
  return tables;
}

Field SocketTables::FindIn(const char* type, const char* member) const {
  const auto layout = Layout::Of(sources_.types, type);
  return layout.ok() ? layout.value().Find(member) : Field{};
}

uint64_t SocketTables::WordAt(uint64_t address) {
  const auto word = sources_.kernel.ReadValue<uint64_t>(address);
  if (!word.ok()) findings_.Lost("a table of sockets: " + word.error().message);
  return word.ok() ? word.value() : 0;
}

void SocketTables::Missing(const char* what) {
  findings_.Add(std::string(what) + " cannot be found: only those that processes have open are " +
                "listed");
}

void SocketTables::FindNamespaces() {
  const auto first = sources_.symbol("init_net");
  const auto head = sources_.symbol("net_namespace_list");
  const Field list = FindIn("struct net", "list");
  if (head && list.known()) {
    ListVisitor visitor;
    visitor.load = [&](uint64_t node) { return sources_.kernel.ReadValue<ListLinks>(node); };
    visitor.keep = [&](uint64_t node, bool) {
      namespaces_.push_back(node - list.offset);
      return true;
    };
    const ListOutcome walk =
        WalkList(sources_.kernel, *head, kMaxNamespaces, "the list of network namespaces", visitor);
    if (walk.lost) findings_.Lost(walk.note);
  }
  if (namespaces_.empty() && first) namespaces_.push_back(*first);
}

/// A socket hangs on one chain by one node: where it is met again, what follows was met, too.
void SocketTables::WalkHead(const Buckets& buckets, uint64_t node, const Visit& visit) {
  uint64_t again = 0;
  const ListOutcome walk =
      WalkChain(sources_.kernel, node, 0, kMaxSockets, buckets.what, [&](uint64_t at) {
        const uint64_t sock = at - buckets.node.offset;
        if (met_.size() >= kMaxSockets) return false;
        if (!met_.insert(sock).second) again = sock;
        return again == 0 && visit(sock);
      });
  if (walk.lost) findings_.Lost(walk.note);
  if (again != 0) {
    findings_.Lost(buckets.what + " has the socket at " + HexAddress(again) + " twice");
  }
}

void SocketTables::WalkBuckets(const Buckets& buckets, const Visit& visit) {
  if (buckets.first == 0 || buckets.count == 0) return;
  const auto apart = CheckedMultiply(buckets.count - 1, buckets.stride);
  if (!apart || *apart > kMaxTableBytes || *apart > table_bytes_left_) {
    return findings_.Lost(buckets.what + " claims " + Grouped(buckets.count) +
                          " buckets: more than are looked at");
  }
  table_bytes_left_ -= *apart;
  const ObjectBytes heads =
      ObjectBytes::Read(sources_.kernel, buckets.first, *apart + kPointerBytes);
  if (!heads.holes().empty()) findings_.Lost(buckets.what + " has holes: " + heads.reason());
  for (uint64_t i = 0; i < buckets.count; ++i) {
    if (heads.StateOf(i * buckets.stride, kPointerBytes) != ValueState::kRead) continue;
    uint64_t head = 0;
    std::memcpy(&head, heads.At(i * buckets.stride, kPointerBytes).data(), kPointerBytes);
    WalkHead(buckets, head & ~buckets.lock_bits, visit);
  }
}

void SocketTables::Walk(const Visit& visit) {
  WalkTcp(visit);
  WalkUdp(visit);
  WalkRaw(visit);
  WalkUnix(visit);
  WalkNetlink(visit);
  WalkPacket(visit);
  if (met_.size() >= kMaxSockets) {
    findings_.Lost("only the first " + Grouped(kMaxSockets) + " sockets are listed");
  }
}

/// One table for all, and since 6.1 (d1e5e6408b30) a namespace may have its own.
void SocketTables::WalkTcp(const Visit& visit) {
  std::set<uint64_t> tables;
  if (const auto symbol = sources_.symbol("tcp_hashinfo")) tables.insert(*symbol);
  const Field own = FindIn("struct net", "ipv4.tcp_death_row.hashinfo");
  for (const uint64_t net : namespaces_) {
    if (own.known()) tables.insert(WordAt(net + own.offset));
  }
  tables.erase(0);
  if (tables.empty()) return Missing("the table of TCP sockets (tcp_hashinfo)");
  for (const uint64_t table : tables) WalkTcpTable(table, visit);
}

void SocketTables::WalkTcpTable(uint64_t hashinfo, const Visit& visit) {
  const auto layout = Layout::Of(sources_.types, "struct inet_hashinfo");
  const auto bucket = sources_.types.SizeOf("struct inet_ehash_bucket");
  const auto listener = Layout::Of(sources_.types, "struct inet_listen_hashbucket");
  Record table;
  if (!layout.ok() || !bucket.ok() || !listener.ok()) {
    return Missing("the table of TCP sockets (struct inet_hashinfo)");
  }
  const Status read = table.Load(sources_.kernel, hashinfo, layout.value().bytes());
  if (!read.ok()) return findings_.Lost("the table of TCP sockets: " + read.error().message);
  const auto find = [&](const char* member) { return layout.value().Find(member); };
  WalkBuckets({.what = "the table of TCP connections",
               .first = table.Unsigned(find("ehash")),
               .count = table.Unsigned(find("ehash_mask")) + 1,
               .stride = bucket.value(),
               .node = node_},
              visit);
  // Up to 5.18 (cae3873c5b3a) listeners hang on an array inside.
  const Field inside = find("listening_hash");
  const Field head = listener.value().Find("nulls_head");
  const uint64_t stride = listener.value().bytes();
  const uint64_t first = inside.known() ? hashinfo + inside.offset : table.Unsigned(find("lhash2"));
  WalkBuckets(
      {.what = "the table of TCP listeners",
       .first = first == 0 ? 0 : first + head.offset,
       .count = inside.known() ? inside.bytes / stride : table.Unsigned(find("lhash2_mask")) + 1,
       .stride = stride,
       .node = node_},
      visit);
}

/// One table for all, and since 6.2 (9804985bf27f) a namespace may have its own.
void SocketTables::WalkUdp(const Visit& visit) {
  std::set<uint64_t> tables;
  if (const auto symbol = sources_.symbol("udp_table")) tables.insert(*symbol);
  const Field own = FindIn("struct net", "ipv4.udp_table");
  for (const uint64_t net : namespaces_) {
    if (own.known()) tables.insert(WordAt(net + own.offset));
  }
  tables.erase(0);
  if (tables.empty()) return Missing("the table of UDP sockets (udp_table)");
  for (const uint64_t table : tables) WalkUdpTable(table, "the table of UDP sockets", visit);
  // Newer kernels have no UDP-Lite.
  if (const auto lite = sources_.symbol("udplite_table")) {
    WalkUdpTable(*lite, "the table of UDP-Lite sockets", visit);
  }
}

void SocketTables::WalkUdpTable(uint64_t table, const char* what, const Visit& visit) {
  const Field hash = FindIn("struct udp_table", "hash");
  const Field mask = FindIn("struct udp_table", "mask");
  const auto slot = Layout::Of(sources_.types, "struct udp_hslot");
  if (!hash.known() || !mask.known() || !slot.ok()) return Missing(what);
  const auto count = sources_.kernel.ReadValue<uint32_t>(table + mask.offset);
  if (!count.ok()) return findings_.Lost(std::string(what) + ": " + count.error().message);
  const uint64_t first = WordAt(table + hash.offset);
  WalkBuckets({.what = what,
               .first = first == 0 ? 0 : first + slot.value().Find("head").offset,
               .count = uint64_t{count.value()} + 1,
               .stride = slot.value().bytes(),
               .node = node_},
              visit);
}

void SocketTables::WalkRaw(const Visit& visit) {
  const Field heads = FindIn("struct raw_hashinfo", "ht");
  for (const char* name : {"raw_v4_hashinfo", "raw_v6_hashinfo"}) {
    const auto table = sources_.symbol(name);
    if (!table || !heads.known()) {
      findings_.Add(std::string("no table ") + name +
                    ": only raw sockets that processes have open "
                    "are listed");
      continue;
    }
    WalkBuckets({.what = "the table of raw sockets",
                 .first = *table + heads.offset,
                 .count = heads.bytes / kPointerBytes,
                 .node = node_},
                visit);
  }
}

/// One table for all; since 6.0 each namespace has its own.
void SocketTables::WalkUnix(const Visit& visit) {
  Buckets buckets{.what = "the table of UNIX sockets", .count = kUnixBuckets, .node = node_};
  const Field own = FindIn("struct net", "unx.table.buckets");
  const auto symbol = sources_.symbol("unix_socket_table");
  if (!own.known() && !symbol) return Missing("the table of UNIX sockets (unix_socket_table)");
  if (!own.known()) {
    buckets.first = *symbol;
    return WalkBuckets(buckets, visit);
  }
  for (const uint64_t net : namespaces_) {
    buckets.first = WordAt(net + own.offset);
    WalkBuckets(buckets, visit);
  }
}

void SocketTables::WalkNetlink(const Visit& visit) {
  const auto symbol = sources_.symbol("nl_table");
  const auto entry = Layout::Of(sources_.types, "struct netlink_table");
  const auto table = Layout::Of(sources_.types, "struct bucket_table");
  const Field node = FindIn("struct netlink_sock", "node");
  const Field hash = entry.ok() ? entry.value().Find("hash.tbl") : Field{};
  const Field count = FindIn("struct bucket_table", "size");
  const Field nested = FindIn("struct bucket_table", "nest");
  const Field next = FindIn("struct bucket_table", "future_tbl");
  if (!symbol || !table.ok() || !node.known() || !hash.known() || !count.known()) {
    return Missing("the table of netlink sockets (nl_table)");
  }
  const uint64_t entries = WordAt(*symbol);
  for (uint64_t i = 0; i < kNetlinkProtocols && entries != 0; ++i) {
    uint64_t at = WordAt(entries + i * entry.value().bytes() + hash.offset);
    Record record;
    // While a table grows, a part of the sockets is in the next one already.
    for (int size = 0; at != 0 && size < kMaxSizesOfTable; ++size) {
      const Status read = record.Load(sources_.kernel, at, table.value().bytes());
      if (!read.ok()) findings_.Lost("a table of netlink sockets: " + read.error().message);
      if (!read.ok()) break;
      if (record.Unsigned(nested) != 0) {
        findings_.Lost(
            "a table of netlink sockets is nested, which it is for want of memory alone");
        break;
      }
      // The heads follow the struct; a head's lowest bit locks it (5.2, 8f0db018006a).
      WalkBuckets({.what = "the table of netlink sockets",
                   .first = at + table.value().bytes(),
                   .count = record.Unsigned(count),
                   .node = node,
                   .lock_bits = 1},
                  visit);
      at = record.Unsigned(next);
    }
  }
}

void SocketTables::WalkPacket(const Visit& visit) {
  const Field list = FindIn("struct net", "packet.sklist");
  if (!list.known()) return Missing("the list of packet sockets (struct net.packet)");
  for (const uint64_t net : namespaces_) {
    WalkBuckets({.what = "the list of packet sockets",
                 .first = net + list.offset,
                 .count = 1,
                 .node = node_},
                visit);
  }
}

}  // namespace kcoredump
