// SPDX-License-Identifier: MIT
#include "inspect/log/kernel_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>

#include "base/error.h"
#include "support/elf_builder.h"
#include "support/test_bytes.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::Poke;
using testing::Test;

constexpr uint64_t kPrbPointer = 0xffffffff82000000;
constexpr uint64_t kPrb = 0xffffffff82000100;
constexpr uint64_t kDescs = 0xffffffff83000000;
constexpr uint64_t kInfos = 0xffff888004000000;
constexpr uint64_t kData = 0xffff888005000000;

constexpr char kVmcoreinfo[] =
    "SYMBOL(prb)=ffffffff82000000\n"
    "SIZE(printk_ringbuffer)=88\nOFFSET(printk_ringbuffer.desc_ring)=0\n"
    "OFFSET(printk_ringbuffer.text_data_ring)=48\n"
    "OFFSET(prb_desc_ring.count_bits)=0\nOFFSET(prb_desc_ring.descs)=8\n"
    "OFFSET(prb_desc_ring.infos)=16\nOFFSET(prb_desc_ring.head_id)=24\n"
    "OFFSET(prb_desc_ring.tail_id)=32\nOFFSET(atomic_long_t.counter)=0\n"
    "OFFSET(prb_data_ring.size_bits)=0\nOFFSET(prb_data_ring.data)=8\n"
    "SIZE(prb_desc)=24\nOFFSET(prb_desc.state_var)=0\nOFFSET(prb_desc.text_blk_lpos)=8\n"
    "OFFSET(prb_data_blk_lpos.begin)=0\nOFFSET(prb_data_blk_lpos.next)=8\n"
    "SIZE(printk_info)=88\nOFFSET(printk_info.seq)=0\nOFFSET(printk_info.ts_nsec)=8\n"
    "OFFSET(printk_info.text_len)=16\nOFFSET(printk_info.caller_id)=20\n"
    "OFFSET(printk_info.dev_info)=24\nOFFSET(dev_printk_info.subsystem)=0\n"
    "OFFSET(dev_printk_info.device)=16\nLENGTH(printk_info_subsystem)=16\n"
    "LENGTH(printk_info_device)=48\n";

/// A few stretches of memory; counts what it was asked.
class FakeMemory : public MemoryView {
 public:
  std::map<uint64_t, Bytes> stretches;
  size_t reads = 0;
  std::function<void()> before_read;

  Status Read(uint64_t address, std::span<std::byte> out) override {
    ++reads;
    if (before_read) before_read();
    Error missing = MakeError(ErrorCode::kUnreadable, "nothing there");
    missing.address = address;
    auto found = stretches.upper_bound(address);
    if (found == stretches.begin()) return missing;
    --found;
    const uint64_t offset = address - found->first;
    if (offset >= found->second.size()) return missing;
    if (out.size() > found->second.size() - offset) {
      missing.address = found->first + found->second.size();
      return missing;
    }
    std::copy_n(found->second.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }
};

enum State : uint64_t { kReserved, kCommitted, kFinalized, kReusable };

/// Writes records as printk does, without its locks.
class PrintkRing {
 public:
  PrintkRing(unsigned count_bits, unsigned size_bits)
      : count_bits_(count_bits), size_bits_(size_bits) {
    memory.stretches[kPrbPointer] = Bytes(8);
    memory.stretches[kPrb] = Bytes(88);
    memory.stretches[kDescs] = Bytes(24 << count_bits);
    memory.stretches[kInfos] = Bytes(88 << count_bits);
    memory.stretches[kData] = Bytes(uint64_t{1} << size_bits);
    head_id_ = tail_id_ = Id(0 - (uint64_t{1} << count_bits) - 1);
    head_ = tail_ = 0 - (uint64_t{1} << size_bits);
    SetDesc(head_id_, kReusable, 1, 1);
    Poke(memory.stretches[kPrbPointer], 0, kPrb);
    Header<uint32_t>(0, count_bits);
    Header(8, kDescs);
    Header(16, kInfos);
    Header<uint32_t>(48, size_bits);
    Header(56, kData);
    Publish();
  }

  /// Since 67e1b0052f6b.
  bool ends_at_the_end = false;
  FakeMemory memory;

  /// The record's id.
  uint64_t Add(std::string_view text, State state = kFinalized) {
    const uint64_t bytes = (8 + text.size() + 7) / 8 * 8;
    const uint64_t begin = head_;
    uint64_t next = begin + bytes;
    const uint64_t last = ends_at_the_end ? next - 1 : next;
    uint64_t at = Index(begin);
    if (begin >> size_bits_ != last >> size_bits_) {
      at = 0;
      next = (next >> size_bits_ << size_bits_) + bytes;
      if (ends_at_the_end) next = (last >> size_bits_ << size_bits_) + bytes;
    }
    MakeRoom(next);
    head_ = next;
    const uint64_t id = NewId();
    Bytes& data = memory.stretches[kData];
    Poke(data, Index(begin), id);
    Poke(data, at, id);
    std::transform(text.begin(), text.end(), data.begin() + static_cast<ptrdiff_t>(at) + 8,
                   [](char c) { return static_cast<std::byte>(c); });
    AddInfo(id, text.size());
    SetDesc(id, state, begin, next);
    return id;
  }

  uint64_t AddDataless(uint64_t position) {
    const uint64_t id = NewId();
    AddInfo(id, 0);
    SetDesc(id, kFinalized, position, position);
    return id;
  }

  template <typename T>
  void Header(size_t offset, T value) {
    Poke(memory.stretches[kPrb], offset, value);
  }
  template <typename T>
  void Info(uint64_t id, size_t offset, T value) {
    Poke(memory.stretches[kInfos], (id & Mask()) * 88 + offset, value);
  }
  void SetDesc(uint64_t id, uint64_t state, uint64_t begin, uint64_t next) {
    Bytes& descs = memory.stretches[kDescs];
    const size_t at = (id & Mask()) * 24;
    Poke(descs, at, id | state << 62);
    Poke(descs, at + 8, begin);
    Poke(descs, at + 16, next);
  }
  /// Where the last record's block ends.
  [[nodiscard]] uint64_t head() const { return head_; }
  [[nodiscard]] uint64_t Index(uint64_t lpos) const {
    return lpos & ((uint64_t{1} << size_bits_) - 1);
  }

  Result<KernelLog> Read(const LogOptions& options = {}, bool changing = false) {
    auto info = VmcoreInfo::Parse(kVmcoreinfo);
    EXPECT_TRUE(info.ok());
    return ReadPrintkRing(memory, info.value(), options, changing);
  }

 private:
  static uint64_t Id(uint64_t value) { return value & ~(uint64_t{3} << 62); }
  [[nodiscard]] uint64_t Mask() const { return (uint64_t{1} << count_bits_) - 1; }

  void Publish() {
    Header(24, head_id_);
    Header(32, tail_id_);
  }

  uint64_t NewId() {
    const uint64_t id = Id(head_id_ + 1);
    if (Id(id - tail_id_) > Mask()) tail_id_ = Id(tail_id_ + 1);
    head_id_ = id;
    Publish();
    return id;
  }

  void AddInfo(uint64_t id, size_t length) {
    const uint64_t sequence = sequence_++;
    Info(id, 0, sequence);
    Info(id, 8, sequence * 1'000'000'000 + 234'567'891);
    Info(id, 16, static_cast<uint16_t>(length));
    Info<uint8_t>(id, 18, 0);
    Info<uint8_t>(id, 19, 6 << 5 | 2);
    Info<uint32_t>(id, 20, 1);
  }

  /// Records whose text gives way become reusable.
  void MakeRoom(uint64_t next) {
    const Bytes& descs = memory.stretches[kDescs];
    for (uint64_t id = tail_id_; next - tail_ > uint64_t{1} << size_bits_; id = Id(id + 1)) {
      ASSERT_NE(id, Id(head_id_ + 1));
      uint64_t begin = 0;
      uint64_t end = 0;
      std::memcpy(&begin, &descs[(id & Mask()) * 24 + 8], 8);
      std::memcpy(&end, &descs[(id & Mask()) * 24 + 16], 8);
      SetDesc(id, kReusable, begin, end);
      if ((begin & 1) == 0) tail_ = end;
    }
  }

  unsigned count_bits_;
  unsigned size_bits_;
  uint64_t head_id_ = 0, tail_id_ = 0;
  uint64_t head_ = 0, tail_ = 0;
  uint64_t sequence_ = 0;
};

KernelLog Log(PrintkRing& ring, const LogOptions& options = {}, bool changing = false) {
  auto log = ring.Read(options, changing);
  EXPECT_TRUE(log.ok()) << (log.ok() ? "" : log.error().message);
  return log.ok() ? std::move(log.value()) : KernelLog();
}

std::vector<std::string> Texts(const KernelLog& log) {
  std::vector<std::string> texts;
  for (const LogRecord& record : log.records) texts.push_back(record.text);
  return texts;
}

using Strings = std::vector<std::string>;

TEST(KernelLog, AnEmptyRing) {
  PrintkRing ring(4, 10);
  const KernelLog log = Log(ring);
  EXPECT_TRUE(log.records.empty());
  EXPECT_TRUE(log.findings.notes.empty());
  EXPECT_EQ(log.last_sequence, std::nullopt);
}

TEST(KernelLog, EveryFieldOfARecord) {
  PrintkRing ring(4, 10);
  const uint64_t id = ring.Add("usb 1-1: new device");
  ring.Info<uint8_t>(id, 18, 3);
  ring.Info<uint8_t>(id, 19, 4 << 5 | 8);
  ring.Info<uint32_t>(id, 20, 0x80000003);
  const std::string device = "+usb:1-1";
  for (size_t i = 0; i < 3; ++i) ring.Info(id, 24 + i, "usb"[i]);
  for (size_t i = 0; i < device.size(); ++i) ring.Info(id, 40 + i, device[i]);
  const KernelLog log = Log(ring);
  ASSERT_EQ(log.records.size(), 1U);
  const LogRecord& record = log.records[0];
  EXPECT_EQ(record.sequence, 0U);
  EXPECT_EQ(record.time_ns, 234567891U);
  EXPECT_EQ(record.level, 4);
  EXPECT_EQ(record.facility, 3);
  EXPECT_TRUE(record.continuation);
  EXPECT_FALSE(record.newline);
  EXPECT_TRUE(record.finished);
  EXPECT_EQ(record.Caller(), "C3");
  EXPECT_EQ(record.text, "usb 1-1: new device");
  EXPECT_EQ(record.subsystem, "usb");
  EXPECT_EQ(record.device, "+usb:1-1");
}

TEST(KernelLog, TheRingIsReadInAFewLargeReads) {
  PrintkRing ring(10, 16);
  for (int i = 0; i < 1000; ++i) ring.Add("line " + std::to_string(i));
  EXPECT_EQ(Log(ring).records.size(), 1000U);
  EXPECT_LE(ring.memory.reads, 8U);  // each of the three from its oldest entry on, and its start
}

class EitherEnd : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(KernelLog, EitherEnd, testing::Bool(), [](const auto& param) {
  return param.param ? "EndsAtTheEnd" : "WrapsAtTheEnd";
});

TEST_P(EitherEnd, ABlockThatWrapsStandsAtTheStart) {
  PrintkRing ring(4, 7);
  ring.ends_at_the_end = GetParam();
  for (const char* text : {"first, forty bytes with its id..", "second, forty bytes too, its id.",
                           "third, forty bytes with its id..", "fourth, at the start"}) {
    ring.Add(text);
  }
  const KernelLog log = Log(ring);
  EXPECT_EQ(Texts(log), (Strings{"second, forty bytes too, its id.",
                                 "third, forty bytes with its id..", "fourth, at the start"}));
  EXPECT_FALSE(log.findings.incomplete);
  ASSERT_EQ(log.findings.notes.size(), 1U);
  EXPECT_NE(log.findings.notes[0].find("begins with number 1"), std::string::npos);
}

TEST_P(EitherEnd, ABlockThatJustFitsTheEnd) {
  PrintkRing ring(4, 7);
  ring.ends_at_the_end = GetParam();
  ring.Add(std::string(64 - 8, 'a'));
  ring.Add(std::string(64 - 8, 'b'));
  EXPECT_EQ(ring.Index(ring.head()), GetParam() ? 0U : 64U);
  const Strings both = {std::string(56, 'a'), std::string(56, 'b')};
  // Wrapping, the second takes the first one's place.
  EXPECT_EQ(Texts(Log(ring)), GetParam() ? both : Strings{std::string(56, 'b')});
  ring.Add("c");
  EXPECT_EQ(Texts(Log(ring)).back(), "c");
}

TEST_P(EitherEnd, ManyRoundsOfEverySize) {
  for (unsigned count_bits = 2; count_bits < 7; ++count_bits) {
    PrintkRing ring(count_bits, 9);
    ring.ends_at_the_end = GetParam();
    test::Random random(count_bits);
    Strings all;
    for (int i = 0; i < 500; ++i) {
      all.push_back(std::to_string(i) + std::string(random.Below(100), 'x'));
      ring.Add(all.back());
      const KernelLog log = Log(ring);
      ASSERT_FALSE(log.findings.incomplete);
      ASSERT_FALSE(log.records.empty());
      const auto first = all.end() - static_cast<ptrdiff_t>(log.records.size());
      ASSERT_EQ(Texts(log), Strings(first, all.end())) << i;
      ASSERT_EQ(log.last_sequence, static_cast<uint64_t>(i));
    }
  }
}

TEST(KernelLog, AnEmptyLineHasNoBlock) {
  PrintkRing ring(4, 10);
  ring.Add("a");
  ring.AddDataless(3);
  ring.Add("b");
  const KernelLog log = Log(ring);
  EXPECT_EQ(Texts(log), (Strings{"a", "", "b"}));
  EXPECT_TRUE(log.findings.notes.empty());
  EXPECT_EQ(ToText(log), "[    0.234567] a\n[    1.234567] \n[    2.234567] b\n");
}

TEST(KernelLog, TextTheKernelHadNoRoomForIsNoted) {
  PrintkRing ring(4, 10);
  ring.AddDataless(1);
  ring.Add("b");
  const KernelLog log = Log(ring);
  EXPECT_EQ(Texts(log), Strings{"b"});
  EXPECT_FALSE(log.findings.incomplete);
  EXPECT_NE(log.findings.notes.at(0).find("no room"), std::string::npos);
}

TEST(KernelLog, ARecordBeingWrittenIsNotShown) {
  PrintkRing ring(4, 10);
  ring.Add("a");
  ring.Add("half a rec", kReserved);
  ring.Add("c");
  const KernelLog log = Log(ring);
  EXPECT_EQ(Texts(log), (Strings{"a", "c"}));
  EXPECT_NE(log.findings.notes.at(0).find("being written"), std::string::npos);
  EXPECT_FALSE(log.findings.incomplete);
  EXPECT_EQ(Texts(Log(ring, {.finished_only = true})), Strings{"a"});
}

TEST(KernelLog, ACommittedRecordIsShownButNotFollowed) {
  PrintkRing ring(4, 10);
  ring.Add("a");
  ring.Add("may go on", kCommitted);
  const KernelLog log = Log(ring);
  EXPECT_EQ(Texts(log), (Strings{"a", "may go on"}));
  EXPECT_FALSE(log.records[1].finished);
  const KernelLog follow = Log(ring, {.finished_only = true});
  EXPECT_EQ(Texts(follow), Strings{"a"});
  EXPECT_EQ(follow.last_sequence, 0U);
}

TEST(KernelLog, AReusedDescriptorHasAnotherId) {
  PrintkRing ring(2, 10);
  for (const char* text : {"a", "b", "c", "d", "e"}) ring.Add(text);
  ring.Header(32, (ring.Add("f") - 5) & ~(uint64_t{3} << 62));  // a tail that lags behind
  const KernelLog log = Log(ring);
  EXPECT_EQ(Texts(log), (Strings{"c", "d", "e", "f"}));
  EXPECT_TRUE(log.findings.incomplete);
  EXPECT_EQ(log.findings.notes.back(),
            "2 older records had been overwritten: the log begins with number 2");
}

TEST(KernelLog, ATornCopyHasStaleDescriptors) {
  PrintkRing ring(3, 10);
  uint64_t stale = 0;
  for (const char* text : {"a", "b", "c", "d"}) stale = ring.Add(text);
  ring.Add("e");
  ring.SetDesc((stale - 8) & ~(uint64_t{3} << 62), kFinalized, 0, 16);
  const KernelLog log = Log(ring);
  EXPECT_EQ(Texts(log), (Strings{"a", "b", "c", "e"}));
  EXPECT_TRUE(log.findings.incomplete);
}

TEST(KernelLog, LevelsFacilitiesAndTheTailAreSelected) {
  PrintkRing ring(4, 10);
  for (uint8_t level = 0; level < 8; ++level) {
    const uint64_t id = ring.Add(LogLevelName(level));
    ring.Info<uint8_t>(id, 19, static_cast<uint8_t>(level << 5));
    ring.Info<uint8_t>(id, 18, level == 2 ? 40 : level);
  }
  EXPECT_EQ(Texts(Log(ring, {.levels = 0x18})), (Strings{"err", "warn"}));
  EXPECT_EQ(Texts(Log(ring, {.facilities = 0xe})), (Strings{"alert", "err"}));
  EXPECT_EQ(Texts(Log(ring, {.levels = 0x1f, .tail = 2})), (Strings{"err", "warn"}));
  EXPECT_TRUE(Log(ring, {.tail = 0}).records.empty());
  const KernelLog none = Log(ring, {.levels = 0});
  EXPECT_TRUE(none.records.empty());
  EXPECT_EQ(none.last_sequence, 7U);
}

TEST(KernelLog, WhatCameAfterASequence) {
  PrintkRing ring(2, 10);
  ring.Add("a");
  ring.Add("b");
  EXPECT_EQ(Texts(Log(ring, {.after_sequence = 0})), Strings{"b"});
  EXPECT_TRUE(Log(ring, {.after_sequence = 1}).records.empty());
  for (const char* text : {"c", "d", "e", "f", "g"}) ring.Add(text);
  const KernelLog log = Log(ring, {.after_sequence = 1});
  EXPECT_EQ(Texts(log), (Strings{"d", "e", "f", "g"}));
  ASSERT_EQ(log.findings.notes.size(), 1U);
  EXPECT_NE(log.findings.notes[0].find("1 older"), std::string::npos) << log.findings.notes[0];
}

TEST(KernelLog, RecordsOverwrittenWhileReadAreDropped) {
  PrintkRing ring(2, 8);
  for (const char* text : {"a", "b", "c", "d"}) ring.Add(text);
  // All rings are read, then a writer comes round.
  ring.memory.before_read = [&] {
    if (ring.memory.reads == 6) {
      ring.Add("e");
      ring.Add("f");
    }
  };
  const KernelLog log = Log(ring, {}, true);
  EXPECT_EQ(Texts(log), (Strings{"c", "d"}));
  EXPECT_EQ(log.findings.notes,
            Strings{"2 records of the log overwritten by newer ones: not shown"});
}

TEST(KernelLog, TextOverwrittenBeforeItsReadIsReadAgain) {
  PrintkRing ring(3, 6);
  ring.Add(std::string(24, 'a'));
  ring.Add("bbbb");
  // After descriptors and infos were read, before the text is.
  ring.memory.before_read = [&] {
    if (ring.memory.reads == 6) ring.Add(std::string(20, 'c'));
  };
  const KernelLog log = Log(ring, {}, true);
  EXPECT_EQ(Texts(log), Strings{"bbbb"});
}

class ForgedPosition : public testing::TestWithParam<std::pair<uint64_t, uint64_t>> {};
INSTANTIATE_TEST_SUITE_P(
    KernelLog, ForgedPosition,
    testing::Values(std::pair{uint64_t{0}, uint64_t{0}}, std::pair{uint64_t{8}, uint64_t{0}},
                    std::pair{uint64_t{4}, uint64_t{32}}, std::pair{uint64_t{0}, uint64_t{36}},
                    std::pair{uint64_t{0}, uint64_t{8}}, std::pair{uint64_t{0}, uint64_t{5000}},
                    std::pair{uint64_t{0}, ~uint64_t{7}}, std::pair{~uint64_t{7}, uint64_t{0}},
                    std::pair{~uint64_t{7}, ~uint64_t{7}}, std::pair{uint64_t{64}, uint64_t{128}},
                    std::pair{uint64_t{0}, uint64_t{1} << 63}));

TEST_P(ForgedPosition, CostsItsRecordAlone) {
  PrintkRing ring(4, 10);
  ring.Add("aaaaaaaaaaaa");
  const uint64_t id = ring.Add("bbbbbbbbbbbb");
  ring.Add("c");
  ring.SetDesc(id, kFinalized, GetParam().first, GetParam().second);
  const KernelLog log = Log(ring);
  EXPECT_EQ(Texts(log), (Strings{"aaaaaaaaaaaa", "c"}));
  EXPECT_TRUE(log.findings.incomplete);
  EXPECT_EQ(log.findings.notes.at(0), "1 record of the log damaged: not shown");
}

TEST(KernelLog, AForgedLengthCostsItsRecord) {
  PrintkRing ring(4, 10);
  ring.Info<uint16_t>(ring.Add("a"), 16, 0xffff);
  ring.Add("b");
  const KernelLog log = Log(ring);
  EXPECT_EQ(Texts(log), Strings{"b"});
  EXPECT_TRUE(log.findings.incomplete);
}

TEST(KernelLog, AForgedSequenceCostsItsRecord) {
  PrintkRing ring(4, 10);
  ring.Info<uint64_t>(ring.Add("a"), 0, 5);
  ring.Add("b");
  const uint64_t late = ring.Add("c");
  ring.Info<uint64_t>(late, 0, 2 + (uint64_t{1} << 40));
  ring.Add("d");  // its sequence now lies before
  EXPECT_EQ(Texts(Log(ring)), (Strings{"b", "c"}));
  EXPECT_TRUE(Log(ring).findings.incomplete);
}

TEST(KernelLog, ForgedCountsAreCorrupt) {
  for (const size_t offset : {size_t{0}, size_t{48}}) {
    for (const uint32_t bits : {0U, 32U, 63U, 64U, 200U, ~0U}) {
      PrintkRing ring(4, 10);
      ring.Add("a");
      ring.Header(offset, bits);
      const auto log = ring.Read();
      ASSERT_FALSE(log.ok()) << offset << " " << bits;
      EXPECT_EQ(log.error().code, ErrorCode::kCorrupt);
    }
  }
}

TEST(KernelLog, ARingLongerThanItsMemoryIsRead) {
  PrintkRing ring(4, 10);
  ring.Add("a");
  ring.Header<uint32_t>(48, 27);  // the block's place changes with the ring's size
  ring.Header<uint32_t>(0, 20);
  const KernelLog log = Log(ring);
  EXPECT_TRUE(log.records.empty());
  EXPECT_TRUE(log.findings.incomplete);
}

TEST(KernelLog, ATailThatCannotBeIsNoted) {
  PrintkRing ring(4, 10);
  const uint64_t id = ring.Add("a");
  for (const uint64_t tail : {id + 1, id + 1000, uint64_t{5}}) {
    ring.Header(32, tail);
    const KernelLog log = Log(ring);
    EXPECT_EQ(Texts(log), Strings{"a"}) << tail;
    EXPECT_TRUE(log.findings.incomplete);
  }
}

TEST(KernelLog, RingsThatWrapAroundMemoryAreCorrupt) {
  for (const size_t offset : {size_t{8}, size_t{16}, size_t{56}}) {
    PrintkRing ring(4, 10);
    ring.Header(offset, ~uint64_t{15});
    const auto log = ring.Read();
    ASSERT_FALSE(log.ok());
    EXPECT_EQ(log.error().code, ErrorCode::kCorrupt);
  }
}

TEST(KernelLog, MissingTextCostsItsRecords) {
  PrintkRing ring(4, 10);
  for (int i = 0; i < 8; ++i) ring.Add("record number " + std::to_string(i));
  ring.memory.stretches[kData].resize(100);  // 24 bytes a block: four and a piece
  const KernelLog log = Log(ring);
  EXPECT_EQ(Texts(log).size(), 4U);
  EXPECT_TRUE(log.findings.incomplete);
  EXPECT_EQ(log.findings.notes.at(0), "4 records of the log in memory that is missing: not shown");
}

TEST(KernelLog, MissingInfosCostTheirRecords) {
  PrintkRing ring(4, 10);
  for (int i = 0; i < 8; ++i) ring.Add(std::to_string(i));
  ring.memory.stretches[kInfos].resize(88 * 3 + 10);
  EXPECT_EQ(Texts(Log(ring)), (Strings{"0", "1", "2"}));
}

TEST(KernelLog, AMissingRingIsUnreadable) {
  PrintkRing ring(4, 10);
  ring.memory.stretches.erase(kPrb);
  const auto log = ring.Read();
  ASSERT_FALSE(log.ok());
  EXPECT_EQ(log.error().code, ErrorCode::kUnreadable);
}

TEST(KernelLog, GarbageEverywhereEndsAndFits) {
  for (uint64_t seed = 1; seed < 200; ++seed) {
    PrintkRing ring(5, 10);
    for (int i = 0; i < 60; ++i) ring.Add("record " + std::to_string(i));
    test::Random random(seed);
    for (const uint64_t at : {kPrb, kDescs, kInfos, kData}) {
      Bytes& bytes = ring.memory.stretches[at];
      for (int i = 0; i < (at == kPrb ? 1 : 40); ++i) {
        bytes[random.Below(bytes.size())] = static_cast<std::byte>(random.Next());
      }
    }
    for (const bool changing : {false, true}) {
      const auto log = ring.Read({}, changing);
      EXPECT_TRUE(!log.ok() || log.value().records.size() <= 32U);
    }
  }
}

TEST(KernelLog, VmcoreinfoThatLacksOrForgesAnOffset) {
  const std::string whole = kVmcoreinfo;
  PrintkRing ring(4, 10);
  for (size_t at = whole.find('\n') + 1; at < whole.size(); at = whole.find('\n', at) + 1) {
    const size_t equals = whole.find('=', at);
    const std::string name = whole.substr(at, equals - at);
    for (const char* value : {"", "4097", "18446744073709551615"}) {
      std::string text = whole;
      text.replace(equals + 1, whole.find('\n', at) - equals - 1, value);
      auto info = VmcoreInfo::Parse(text);
      ASSERT_TRUE(info.ok());
      const auto log = ReadPrintkRing(ring.memory, info.value(), {}, false);
      if (name.starts_with("LENGTH") && *value == '\0') {
        EXPECT_TRUE(log.ok()) << name;
        continue;
      }
      ASSERT_FALSE(log.ok()) << name << value;
      EXPECT_EQ(log.error().code, ErrorCode::kUnsupported);
    }
  }
}

TEST(KernelLog, AnUnknownPlaceOfTheLevelIsNoted) {
  std::string text = kVmcoreinfo;
  text.replace(text.find("caller_id)=20"), 13, "caller_id)=84");
  PrintkRing ring(4, 10);
  ring.Add("a");
  const auto log =
      ReadPrintkRing(ring.memory, VmcoreInfo::Parse(text).value(), {.levels = 1}, false);
  ASSERT_TRUE(log.ok());
  ASSERT_EQ(log.value().records.size(), 1U);
  EXPECT_EQ(log.value().records[0].level, std::nullopt);
  EXPECT_EQ(log.value().findings.notes.size(), 1U);
}

TEST(KernelLog, OlderKernelsAreRefused) {
  FakeMemory memory;
  for (const auto& [text, says] :
       {std::pair{"SYMBOL(log_buf)=ffffffff82000000\n", "before 5.10"},
        std::pair{"", "no VMCOREINFO"}, std::pair{"OSRELEASE=6.1\n", "SYMBOL(prb)"}}) {
    const auto log = ReadPrintkRing(memory, VmcoreInfo::Parse(text).value(), {}, false);
    ASSERT_FALSE(log.ok());
    EXPECT_EQ(log.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(log.error().message.find(says), std::string::npos) << log.error().message;
  }
}

TEST(KernelLog, LinesAsDmesgPrintsThem) {
  KernelLog log;
  log.records.push_back({.time_ns = 12'345'678'901'234, .text = "one\n\ttwo\n"});
  log.records.push_back({.text = "\x1b[2J \xff \xc3\xa9"});
  EXPECT_EQ(ToText(log),
            "[12345.678901] one\n[12345.678901] \ttwo\n[12345.678901] \n"
            "[    0.000000] \\x1b[2J \\xff \xc3\xa9\n");
}

TEST(KernelLog, DecodedAndColouredLines) {
  KernelLog log;
  log.records.push_back({.level = 3, .facility = 0, .caller_id = 77, .text = "bad"});
  log.records.push_back({.text = "plain"});
  EXPECT_EQ(ToText(log, {.decode = true}),
            "kern  :err   : [    0.000000] [   T77] bad\n"
            "?     :?     : [    0.000000] [    T0] plain\n");
  EXPECT_EQ(ToText(log, {.colour = true}),
            "\033[32m[    0.000000]\033[0m \033[31mbad\033[0m\n"
            "\033[32m[    0.000000]\033[0m plain\n");
}

TEST(KernelLog, JsonEscapesWhatIsNotUtf8) {
  KernelLog log;
  log.records.push_back({.sequence = 7,
                         .level = 6,
                         .facility = 3,
                         .caller_id = 0x80000001,
                         .text = "\xff\"",
                         .subsystem = "usb"});
  log.findings.Lost("gone");
  EXPECT_EQ(ToJsonLines(log),
            "{\"sequence\":7,\"time_ns\":0,\"level\":\"info\",\"facility\":\"daemon\","
            "\"caller\":\"C1\",\"text\":\"\xef\xbf\xbd\\\"\",\"continuation\":false,"
            "\"newline\":false,\"finished\":true,\"subsystem\":\"usb\",\"device\":null}\n");
  EXPECT_NE(ToJson(log).find("\"incomplete\": true"), std::string::npos);
  EXPECT_NE(ToJson(log).find("\"gone\""), std::string::npos);
}

TEST(KernelLog, LevelsAndFacilitiesByName) {
  EXPECT_EQ(ParseLogLevels("err,warn").value(), 0x18);
  EXPECT_EQ(ParseLogLevels("warn+").value(), 0x1f);
  EXPECT_EQ(ParseLogLevels("debug+").value(), 0xff);
  EXPECT_EQ(ParseLogLevels("0,crit").value(), 0x05);
  EXPECT_EQ(ParseLogFacilities("kern,daemon,local7").value(), 1U | 1U << 3 | 1U << 23);
  for (const char* wrong : {"", "loud", "err,", "8", "+", "err++"}) {
    EXPECT_EQ(ParseLogLevels(wrong).error().code, ErrorCode::kInvalidArgument) << wrong;
  }
  EXPECT_FALSE(ParseLogFacilities("24").ok());
}

}  // namespace
}  // namespace kcoredump
