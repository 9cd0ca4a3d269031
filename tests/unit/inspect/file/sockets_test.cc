// SPDX-License-Identifier: MIT
#include "inspect/file/sockets.h"

#include "inspect/file/socket_tables.h"
#include "support/fake_files.h"

namespace kcoredump {
namespace {

using test::FakeFiles;

constexpr uint64_t kNet = 0xffffffff82200000;
constexpr uint64_t kHashinfo = 0xffffffff82210000;
constexpr uint64_t kEhash = 0xffff888000300000;
constexpr uint64_t kLhash = 0xffff888000310000;
constexpr uint64_t kUdpTable = 0xffffffff82220000;
constexpr uint64_t kUdpSlots = 0xffff888000320000;
constexpr uint64_t kSocks = 0xffff888000330000;
constexpr uint64_t kSocketAt = 0xffff888000380000;  ///< a struct socket_alloc
constexpr uint64_t kHolder = 0xffff888000390000;
constexpr uint64_t kHolderFiles = 0xffff8880003a0000;
constexpr uint64_t kHolderTable = 0xffff8880003b0000;
constexpr uint64_t kHolderPointers = 0xffff8880003c0000;
constexpr uint64_t kHolderFile = 0xffff8880003d0000;
constexpr uint64_t kSocketOperations = 0xffffffff82230000;
constexpr uint64_t kChain = 104;  ///< of a struct sock
constexpr uint32_t kSockBytes = 192;

/// Two buckets of TCP connections, one of listeners, one of UDP sockets, and a process.
class SocketsTest : public testing::Test {
 protected:
  SocketsTest() {
    kernel_.Struct("sock_common", 120,
                   {{"skc_daddr", 0, 4},
                    {"skc_rcv_saddr", 4, 4},
                    {"skc_dport", 12, 2},
                    {"skc_num", 14, 2},
                    {"skc_family", 16, 2},
                    {"skc_state", 18, 1},
                    {"skc_node", kChain, 16}});
    kernel_.Struct("sock", kSockBytes,
                   {{"__sk_common", 0, 120, "sock_common"},
                    {"sk_type", 120, 2},
                    {"sk_protocol", 122, 2},
                    {"sk_uid", 124, 4},
                    {"sk_socket", 128}});
    kernel_.Struct("inet_timewait_sock", 144, {{"tw_substate", 140, 1}});
    kernel_.Struct("socket", 48, {{"sk", 24}});
    kernel_.Struct("socket_alloc", 112,
                   {{"socket", 0, 48, "socket"}, {"vfs_inode", 48, 64, "inode"}});
    kernel_.Struct("inet_ehash_bucket", 8, {{"chain", 0}});
    kernel_.Struct("inet_listen_hashbucket", 16, {{"lock", 0, 4}, {"nulls_head", 8}});
    kernel_.Struct("inet_hashinfo", 32,
                   {{"ehash", 0}, {"ehash_mask", 8, 4}, {"lhash2_mask", 12, 4}, {"lhash2", 16}});
    kernel_.Struct("udp_hslot", 16, {{"head", 0}, {"count", 8, 4}});
    kernel_.Struct("udp_table", 24, {{"hash", 0}, {"mask", 8, 4}});
    kernel_.Struct("files_struct", 16, {{"fdt", 8}});
    kernel_.Struct("fdtable", 32, {{"max_fds", 0, 4}, {"fd", 8}});
    kernel_.Symbol("init_net", kNet);
    kernel_.Symbol("tcp_hashinfo", kHashinfo);
    kernel_.Symbol("udp_table", kUdpTable);
    kernel_.Symbol("socket_file_ops", kSocketOperations);
    kernel_.Zero(kHashinfo, 32);
    kernel_.Word(kHashinfo, kEhash);
    kernel_.memory.PutValue<uint32_t>(kHashinfo + 8, 1);
    kernel_.Word(kHashinfo + 16, kLhash);
    for (const uint64_t head : {kEhash, kEhash + 8}) kernel_.Word(head, 1);
    kernel_.Zero(kLhash, 16);
    kernel_.Word(kLhash + 8, 1);
    kernel_.Zero(kUdpTable, 24);
    kernel_.Word(kUdpTable, kUdpSlots);
    kernel_.Zero(kUdpSlots, 16);
    PutHolder();
  }

  /// A process with a socket at descriptor 0.
  void PutHolder() {
    kernel_.Task(kHolder, 7, "lab");
    kernel_.Word(kHolder + FakeFiles::kTaskFiles, kHolderFiles);
    kernel_.Word(kHolderFiles + 8, kHolderTable);
    kernel_.Zero(kHolderTable, 32);
    kernel_.Word(kHolderTable, 1);
    kernel_.Word(kHolderTable + 8, kHolderPointers);
    kernel_.Word(kHolderPointers, kHolderFile);
    kernel_.Zero(kHolderFile, 128);
    kernel_.Word(kHolderFile + 40, kSocketOperations);
    kernel_.Word(kHolderFile + 64, kSocketAt);
    kernel_.Zero(kSocketAt, 112);
    kernel_.Word(kSocketAt + 24, At(0));
    kernel_.Word(kSocketAt + 48 + 8, 4711);
  }

  static uint64_t At(uint64_t number) { return kSocks + number * 0x1000; }

  void Put(uint64_t number, uint64_t next, uint16_t family, uint8_t state, uint16_t protocol) {
    kernel_.Zero(At(number), kSockBytes);
    kernel_.memory.PutValue<uint32_t>(At(number), 0x08080808);
    kernel_.memory.PutValue<uint32_t>(At(number) + 4, 0x0100007f);
    kernel_.memory.PutValue<uint16_t>(At(number) + 12, 0x5000);
    kernel_.memory.PutValue<uint16_t>(At(number) + 14, static_cast<uint16_t>(4000 + number));
    kernel_.memory.PutValue<uint16_t>(At(number) + 16, family);
    kernel_.memory.PutValue<uint8_t>(At(number) + 18, state);
    kernel_.memory.PutValue<uint16_t>(At(number) + 120, protocol == 17 ? 2 : 1);
    kernel_.memory.PutValue<uint16_t>(At(number) + 122, protocol);
    kernel_.Word(At(number) + kChain, next);
  }
  static uint64_t Node(uint64_t number) { return At(number) + kChain; }

  SocketList Walk() {
    auto walked = WalkSockets(kernel_.sources());
    EXPECT_TRUE(walked.ok()) << (walked.ok() ? "" : walked.error().message);
    return walked.ok() ? std::move(walked.value()) : SocketList{};
  }

  FakeFiles kernel_;
};

TEST_F(SocketsTest, TellsEndsStateAndOwner) {
  Put(0, 3, 2, 1, 6);
  kernel_.Word(At(0) + 128, kSocketAt);
  kernel_.Word(kEhash, Node(0));
  const SocketList list = Walk();
  ASSERT_EQ(list.sockets.size(), 1U);
  const SocketInfo& socket = list.sockets[0];
  EXPECT_EQ(socket.protocol, "tcp");
  EXPECT_EQ(socket.state, "ESTABLISHED");
  EXPECT_EQ(socket.local, "127.0.0.1");
  EXPECT_EQ(socket.local_port, 4000U);
  EXPECT_EQ(socket.remote, "8.8.8.8");
  EXPECT_EQ(socket.remote_port, 80U);
  EXPECT_EQ(socket.inode, 4711U);
  ASSERT_EQ(socket.owners.size(), 1U);
  EXPECT_EQ(socket.owners[0].pid, 7U);
  EXPECT_EQ(socket.owners[0].comm, "lab");
  EXPECT_TRUE(socket.listed);
  EXPECT_FALSE(list.findings.incomplete);
}

TEST_F(SocketsTest, WhatNoTableHasIsFoundByItsDescriptor) {
  Put(0, 0, 2, 7, 6);
  const SocketList list = Walk();
  ASSERT_EQ(list.sockets.size(), 1U);
  EXPECT_FALSE(list.sockets[0].listed);
  EXPECT_EQ(list.sockets[0].state, "CLOSE");
}

TEST_F(SocketsTest, OfATimeWaitSocketOnlyTheBeginningIsRead) {
  Put(0, 0, 2, 7, 6);
  Put(1, 1, 2, 6, 6);
  kernel_.memory.Remove(At(1) + 144, kSockBytes - 144);
  kernel_.memory.PutValue<uint8_t>(At(1) + 140, 5);
  kernel_.Word(kEhash + 8, Node(1));
  const SocketList list = Walk();
  ASSERT_EQ(list.sockets.size(), 2U);
  EXPECT_EQ(list.sockets[1].state, "FIN_WAIT2");
  EXPECT_FALSE(list.findings.incomplete);
}

TEST_F(SocketsTest, ListenersAndUdpSocketsHaveTablesOfTheirOwn) {
  Put(0, 1, 2, 10, 6);
  Put(1, 0, 2, 7, 17);
  kernel_.Word(kLhash + 8, Node(0));
  kernel_.Word(kUdpSlots, Node(1));
  const SocketList list = Walk();
  ASSERT_EQ(list.sockets.size(), 2U);
  EXPECT_EQ(list.sockets[0].state, "LISTEN");
  EXPECT_EQ(list.sockets[1].protocol, "udp");
  EXPECT_EQ(list.sockets[1].state, "UNCONNECTED");
}

TEST_F(SocketsTest, ACircleEnds) {
  Put(0, Node(1), 2, 1, 6);
  Put(1, Node(0), 2, 1, 6);
  kernel_.Word(kEhash, Node(0));
  const SocketList list = Walk();
  EXPECT_EQ(list.sockets.size(), 2U);
  EXPECT_TRUE(list.findings.incomplete);
}

TEST_F(SocketsTest, AWildPointerEndsItsChain) {
  Put(0, 0xdead000000000122, 2, 1, 6);
  Put(1, 1, 2, 1, 6);
  kernel_.Word(kEhash, Node(0));
  kernel_.Word(kEhash + 8, Node(1));
  const SocketList list = Walk();
  EXPECT_EQ(list.sockets.size(), 2U);
  EXPECT_TRUE(list.findings.incomplete);
}

TEST_F(SocketsTest, AForgedSizeOfATableIsNotBelieved) {
  Put(0, 0, 2, 7, 6);
  kernel_.memory.PutValue<uint32_t>(kHashinfo + 8, 0x7fffffff);
  EXPECT_TRUE(Walk().findings.incomplete);
}

TEST_F(SocketsTest, BucketsThatShareAChainAreWalkedOnce) {
  Put(0, 0, 2, 7, 6);
  for (uint64_t i = 1; i <= 64; ++i) Put(i, i == 64 ? 1 : Node(i + 1), 2, 1, 6);
  const size_t before = kernel_.memory.reads;
  kernel_.memory.PutValue<uint32_t>(kHashinfo + 8, 63);
  for (uint64_t i = 0; i < 64; ++i) kernel_.Word(kEhash + 8 * i, Node(1));
  const SocketList list = Walk();
  EXPECT_EQ(list.sockets.size(), 65U);
  EXPECT_TRUE(list.findings.incomplete);
  EXPECT_LT(kernel_.memory.reads - before, 1000U);
}

TEST_F(SocketsTest, ProcessesThatShareATableDoNotMakeItMillions) {
  constexpr uint64_t kDescriptors = 4096;
  Put(0, 0, 2, 7, 6);
  kernel_.Word(kHolderTable, kDescriptors);
  for (uint64_t i = 0; i < kDescriptors; ++i) {
    kernel_.Word(kHolderPointers + 8 * i, kHolderFile);
  }
  for (uint32_t i = 0; i < 256; ++i) {
    const uint64_t task = kHolder + (i + 1) * 0x100000;
    kernel_.Task(task, 1000 - i, "forged");
    kernel_.Word(task + FakeFiles::kTaskFiles, kHolderFiles);
  }
  const SocketList list = Walk();
  ASSERT_EQ(list.sockets.size(), 1U);
  EXPECT_EQ(list.sockets[0].owners.size(), 1U << 20);
  EXPECT_LT(list.sockets[0].owners.front().pid, list.sockets[0].owners.back().pid);
  EXPECT_TRUE(list.findings.incomplete);
}

TEST_F(SocketsTest, MillionsOfDescriptorsThatAreNotThereAreNotLookedAt) {
  Put(0, 0, 2, 7, 6);
  for (uint32_t i = 0; i < 100; ++i) {
    const uint64_t task = kHolder + (i + 1) * 0x100000;
    kernel_.Task(task, 1000 - i, "forged");
    kernel_.Word(task + FakeFiles::kTaskFiles, task + 0x1000);
    kernel_.Word(task + 0x1008, task + 0x2000);
    kernel_.Zero(task + 0x2000, 32);
    kernel_.Word(task + 0x2000, 0xffffffff);
    kernel_.Word(task + 0x2008, 0xdead000000000000);
  }
  EXPECT_TRUE(Walk().findings.incomplete);
  EXPECT_LT(kernel_.memory.reads, 100000U);
}

TEST_F(SocketsTest, AnUnknownFamilyIsNamedByItsNumber) {
  Put(0, 0, 77, 1, 0);
  const SocketList list = Walk();
  ASSERT_EQ(list.sockets.size(), 1U);
  EXPECT_EQ(list.sockets[0].protocol, "family/77");
}

TEST_F(SocketsTest, TablesThatAreMissingAreSaid) {
  Put(0, 0, 2, 1, 6);
  const SocketList list = Walk();
  bool said = false;
  for (const std::string& note : list.findings.notes) {
    said = said || note.find("unix_socket_table") != std::string::npos;
  }
  EXPECT_TRUE(said);
}

/// What the walk of TCP's tables finds, with sizes as forged BTF gives them.
Findings WalkForged(uint32_t bucket_bytes, const std::vector<test::FakeMember>& hashinfo) {
  FakeFiles kernel;
  kernel.Struct("sock_common", 120, {{"skc_node", kChain, 16}});
  kernel.Struct("inet_ehash_bucket", bucket_bytes, {{"chain", 0}});
  kernel.Struct("inet_listen_hashbucket", 16, {{"lock", 0, 4}, {"nulls_head", 8}});
  kernel.Struct("inet_hashinfo", 32, hashinfo);
  kernel.Symbol("tcp_hashinfo", kHashinfo);
  kernel.Zero(kHashinfo, 32);
  kernel.Word(kHashinfo, kEhash);
  kernel.memory.PutValue<uint32_t>(kHashinfo + 8, 0x3fffff);
  Findings findings;
  const TaskSources sources = kernel.sources();
  auto tables = SocketTables::Create(sources, findings);
  EXPECT_TRUE(tables.ok());
  if (tables.ok()) tables.value().Walk([](uint64_t) { return true; });
  return findings;
}

TEST(SocketTablesTest, ForgedTypesDoNotMakeATableOfTerabytes) {
  EXPECT_TRUE(WalkForged(200U << 10, {{"ehash", 0}, {"ehash_mask", 8, 4}}).incomplete);
}

TEST(SocketTablesTest, AnArrayWithoutRoomForABucketHasNone) {
  EXPECT_FALSE(WalkForged(8, {{"ehash", 16}, {"listening_hash", 24, 8}}).incomplete);
}

}  // namespace
}  // namespace kcoredump
