// SPDX-License-Identifier: MIT
//
// Whole files damaged byte by byte. What must hold for every one of them: no crash, no signal, and
// never a claim of "complete" and "sound" for a file whose content is not the original.
#include <gtest/gtest.h>

#include "format/registry.h"
#include "format/snapshot/plain_reader.h"
#include "format/snapshot/reader.h"
#include "kcoredump/inspect.h"
#include "support/elf_builder.h"
#include "support/files.h"
#include "support/one_thread.h"
#include "support/raw_snapshot.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::MemoryFile;

/// A core of nine pages: small, for it is damaged thousands of times.
Bytes TinyCore() {
  test::ElfBuilder core;
  core.AddNote("VMCOREINFO", 0, "OSRELEASE=6.1\nPAGESIZE=4096\n");
  core.AddAlias(test::kImageBase, 0x3000, test::kPage);
  core.AddRam(0x1000, 4 * test::kPage);
  core.AddRam(0x10000, 4 * test::kPage);
  return core.Build();
}

struct Verdict {
  bool opened = false;
  bool complete = false;  ///< as Describe and Verify say
  bool sound = false;
  std::string text;
};

/// Everything a user may do with a file.
Verdict Judge(const std::string& path) {
  Verdict verdict;
  const auto info = Describe(path);
  if (info.ok()) {
    verdict.opened = true;
    verdict.text = ToText(info.value()) + ToJson(info.value());
  }
  const auto report = Verify(path, test::OneThread());
  if (report.ok()) {
    verdict.complete = report.value().complete && info.ok() && info.value().complete;
    verdict.sound = report.value().damage.empty();
    verdict.text += ToText(report.value()) + ToJson(report.value(), path);
  }
  if (auto memory = Memory::Open(path); memory.ok()) {
    auto reader = memory.value().NewReader();
    EXPECT_TRUE(reader.ok());
    Bytes out(20 * test::kPage);
    EXPECT_TRUE(reader.value().Read(PhysAddr{0}, out).ok());
    EXPECT_TRUE(reader.value().Read(VirtAddr{test::kImageBase}, std::span(out).first(9000)).ok());
  }
  return verdict;
}

/// The image that a reader of the file would get, or nothing.
std::optional<Bytes> Plain(const std::string& path) {
  const auto file = SnapshotFile::Open(path);
  if (!file.ok()) return std::nullopt;
  auto plain = PlainReader::Create(file.value());
  Bytes out(file.value()->plain_bytes());
  if (!plain.ok() || !plain.value().ReadAt(0, out).ok()) return std::nullopt;
  return out;
}

class SnapshotDamage : public ::testing::Test {
 protected:
  const Bytes core_ = TinyCore();
  const Bytes snapshot_ = test::RawSnapshot::Of(core_, 8192).Build();
  MemoryFile file_;
};

TEST_F(SnapshotDamage, NoneIsCompleteAndSound) {
  file_.Set(snapshot_);
  const Verdict verdict = Judge(file_.path());
  EXPECT_TRUE(verdict.complete) << verdict.text;
  EXPECT_TRUE(verdict.sound) << verdict.text;
  EXPECT_EQ(Plain(file_.path()), core_);
  EXPECT_LT(snapshot_.size(), 3000U);  // or the loops below take too long
}

TEST_F(SnapshotDamage, TruncatedAtEveryLength) {
  for (size_t size = 0; size < snapshot_.size(); ++size) {
    file_.Set(std::span(snapshot_).first(size));
    const Verdict verdict = Judge(file_.path());
    ASSERT_FALSE(verdict.complete) << "at " << size << "\n" << verdict.text;
    ASSERT_FALSE(verdict.sound) << "at " << size << "\n" << verdict.text;
  }
}

TEST_F(SnapshotDamage, TruncatedFilesAreReadableUpToTheTear) {
  const size_t first_two = [&] {
    const test::RawSnapshot raw = test::RawSnapshot::Of(core_, 8192);
    return raw.frames[0].size() + raw.frames[1].size();
  }();
  file_.Set(std::span(snapshot_).first(first_two + 20));
  const auto plain = Plain(file_.path());
  ASSERT_TRUE(plain);
  EXPECT_EQ(*plain, Bytes(core_.begin(), core_.begin() + 2 * 8192));
}

TEST_F(SnapshotDamage, EveryByteFlipped) {
  file_.Set(snapshot_);
  for (size_t at = 0; at < snapshot_.size(); ++at) {
    const std::byte flipped = snapshot_[at] ^ std::byte{0xff};
    file_.Write(at, {&flipped, 1});
    const Verdict verdict = Judge(file_.path());
    ASSERT_FALSE(verdict.complete && verdict.sound) << "at " << at << "\n" << verdict.text;
    file_.Write(at, {&snapshot_[at], 1});
  }
}

/// Bit 4 of a frame header's descriptor means nothing (RFC 8878, 3.1.1.1.1.3): a file in which only
/// that changed is as sound as before. Hence the comparison of what the file holds.
TEST_F(SnapshotDamage, OneBitOfEveryByteFlipped) {
  file_.Set(snapshot_);
  for (size_t at = 0; at < snapshot_.size(); ++at) {
    const std::byte flipped = snapshot_[at] ^ static_cast<std::byte>(1 << (at % 8));
    file_.Write(at, {&flipped, 1});
    const Verdict verdict = Judge(file_.path());
    if (verdict.complete && verdict.sound) {
      ASSERT_EQ(Plain(file_.path()), core_) << "at " << at << "\n" << verdict.text;
      ASSERT_LT(at, snapshot_.size() - 100) << "the tail has no byte without meaning";
    }
    file_.Write(at, {&snapshot_[at], 1});
  }
}

TEST_F(SnapshotDamage, EveryByteZeroed) {
  file_.Set(snapshot_);
  for (size_t at = 0; at < snapshot_.size(); ++at) {
    if (snapshot_[at] == std::byte{0}) continue;
    const std::byte zero{0};
    file_.Write(at, {&zero, 1});
    const Verdict verdict = Judge(file_.path());
    if (verdict.complete && verdict.sound) {
      ASSERT_EQ(Plain(file_.path()), core_) << "at " << at << "\n" << verdict.text;
    }
    file_.Write(at, {&snapshot_[at], 1});
  }
}

TEST_F(SnapshotDamage, BytesAppended) {
  for (const size_t more : {size_t{1}, size_t{9}, size_t{4096}}) {
    Bytes bytes = snapshot_;
    bytes.resize(bytes.size() + more);
    file_.Set(bytes);
    EXPECT_FALSE(Judge(file_.path()).complete) << more;
  }
}

TEST_F(SnapshotDamage, APieceOfTheMiddleMissing) {
  for (const size_t gap : {size_t{1}, size_t{16}, size_t{200}}) {
    Bytes bytes = snapshot_;
    bytes.erase(bytes.begin() + 300, bytes.begin() + 300 + static_cast<ptrdiff_t>(gap));
    file_.Set(bytes);
    EXPECT_FALSE(Judge(file_.path()).complete) << gap;
  }
}

TEST_F(SnapshotDamage, TwoFramesSwapped) {
  test::RawSnapshot raw = test::RawSnapshot::Of(core_, 8192);
  ASSERT_GE(raw.frames.size(), 4U);
  std::swap(raw.frames[1], raw.frames[2]);
  file_.Set(raw.Build());
  const Verdict verdict = Judge(file_.path());
  EXPECT_FALSE(verdict.sound) << verdict.text;
}

class ElfDamage : public ::testing::Test {
 protected:
  const Bytes core_ = TinyCore();
  MemoryFile file_;
};

TEST_F(ElfDamage, TruncatedAtEveryLength) {
  for (size_t size = 0; size < core_.size(); size += size < 1000 ? 1 : 97) {
    file_.Set(std::span(core_).first(size));
    (void)Judge(file_.path());
    const auto memory = Memory::Open(file_.path());
    // Headers and notes end well before 1000; without them there is nothing to open.
    if (size < 64 + 4 * 56 || size >= 1000) {
      ASSERT_EQ(memory.ok(), size >= 1000) << size;
    }
  }
}

TEST_F(ElfDamage, ATruncatedPageIsAHoleAndSaysWhy) {
  file_.Set(std::span(core_).first(core_.size() - 100));
  auto memory = Memory::Open(file_.path());
  ASSERT_TRUE(memory.ok());
  auto reader = memory.value().NewReader();
  Bytes out(4 * test::kPage);
  const auto report = reader.value().Read(PhysAddr{0x10000}, out);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report.value().counts.unreadable, 1U);
  ASSERT_NE(report.value().FirstHole(), nullptr);
  EXPECT_EQ(report.value().FirstHole()->first.address, 0x13000U);
  EXPECT_EQ(report.value().FirstHole()->system_errno, ENODATA);
  EXPECT_TRUE(test::AllZero(std::span(out).subspan(3 * test::kPage)));
}

TEST_F(ElfDamage, EveryHeaderAndNoteByteFlipped) {
  file_.Set(core_);
  for (size_t at = 0; at < 64 + 4 * 56 + 64; ++at) {
    for (const int mask : {0xff, 0x01, 0x80, 0x7f}) {
      const std::byte flipped = core_[at] ^ static_cast<std::byte>(mask);
      file_.Write(at, {&flipped, 1});
      (void)Judge(file_.path());
      const auto memory = Memory::Open(file_.path());
      if (!memory.ok()) {
        ASSERT_FALSE(memory.error().message.empty());
        ASSERT_NE(memory.error().message.find(file_.path()), std::string::npos)
            << memory.error().message;
      }
    }
    file_.Write(at, {&core_[at], 1});
  }
}

/// The same damage, inside a snapshot whose own checksums are all right.
TEST_F(ElfDamage, EveryHeaderAndNoteByteFlippedInsideASnapshot) {
  for (size_t at = 0; at < 64 + 4 * 56 + 64; ++at) {
    Bytes core = core_;
    core[at] ^= std::byte{0xff};
    file_.Set(test::RawSnapshot::Of(core, 8192).Build());
    (void)Judge(file_.path());
  }
}

}  // namespace
}  // namespace kcoredump
