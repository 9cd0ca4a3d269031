// SPDX-License-Identifier: MIT
//
// Destinations that are really bad: an error with the address, and never a signal.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "kcoredump/memory.h"
#include "source/page_reader.h"
#include "source/safe_copy.h"
#include "support/fake_source.h"
#include "support/files.h"
#include "support/raw_snapshot.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kPage;

enum class Bad { kNone, kReadOnly, kUnmapped, kPastTheEndOfItsFile };

/// Four pages, of which the third cannot be written.
class Destination {
 public:
  explicit Destination(Bad bad) : file_(Bytes(2 * kPage)) {
    if (bad == Bad::kPastTheEndOfItsFile) {
      // The file has two pages: the third and the fourth are beyond it.
      const UniqueFd fd(dup(FileNumber()));
      memory_ = Map(MAP_SHARED, fd.get());
    } else {
      memory_ = Map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
    }
    if (bad == Bad::kNone) mprotect(third(), kPage, PROT_NONE);
    if (bad == Bad::kReadOnly) mprotect(third(), kPage, PROT_READ);
    if (bad == Bad::kUnmapped) munmap(third(), kPage);
  }
  ~Destination() { munmap(memory_, 4 * kPage); }
  Destination(const Destination&) = delete;
  Destination& operator=(const Destination&) = delete;

  [[nodiscard]] std::byte* third() { return bytes().data() + 2 * kPage; }
  [[nodiscard]] std::span<std::byte> bytes() {
    return {static_cast<std::byte*>(memory_), 4 * kPage};
  }

 private:
  [[nodiscard]] int FileNumber() const { return std::stoi(file_.path().substr(14)); }
  static void* Map(int flags, int fd) {
    // Far below where the kernel puts new mappings: nothing fills the gap of kUnmapped again.
    void* const hint = reinterpret_cast<void*>(0x200000000000);
    return mmap(hint, 4 * kPage, PROT_READ | PROT_WRITE, flags, fd, 0);
  }
  test::MemoryFile file_;
  void* memory_ = MAP_FAILED;
};

class BadDestination : public ::testing::TestWithParam<Bad> {};
std::string BadName(const ::testing::TestParamInfo<Bad>& test) {
  static constexpr std::array kNames = {"ProtNone", "ProtRead", "Unmapped", "PastTheEndOfItsFile"};
  return kNames.at(static_cast<size_t>(test.param));
}
INSTANTIATE_TEST_SUITE_P(Each, BadDestination,
                         ::testing::Values(Bad::kNone, Bad::kReadOnly, Bad::kUnmapped,
                                           Bad::kPastTheEndOfItsFile),
                         BadName);

TEST_P(BadDestination, ALadderReadNamesTheAddressAndKeepsWhatCameBefore) {
  Destination destination(GetParam());
  const auto source = test::FlatSource(8);
  auto reader = source->NewReader();
  auto pages = PageReader::Create(reader.value().get(), kPage, {});
  ReadReport report;
  const Status status = pages.value().Read(PhysAddr{test::kFlatStart}, destination.bytes(), report);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(status.error().address, reinterpret_cast<uintptr_t>(destination.third()));
  EXPECT_EQ(report.counts.read(), 2U);
  const auto good = destination.bytes().first(2 * kPage);
  EXPECT_EQ(Bytes(good.begin(), good.end()), test::MemoryBytes(test::kFlatStart, 2 * kPage));
}

TEST_P(BadDestination, AHoleThatCannotBeZeroedIsTheSameError) {
  Destination destination(GetParam());
  const auto source = test::FlatSource(8);
  source->script().failing_for_ever[test::kFlatStart + 2 * kPage] = EIO;
  auto reader = source->NewReader();
  auto pages = PageReader::Create(reader.value().get(), kPage, {});
  ReadReport report;
  const Status status = pages.value().Read(PhysAddr{test::kFlatStart}, destination.bytes(), report);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().address, reinterpret_cast<uintptr_t>(destination.third()));
}

TEST_P(BadDestination, UnalignedToo) {
  Destination destination(GetParam());
  const auto source = test::FlatSource(8);
  auto reader = source->NewReader();
  auto pages = PageReader::Create(reader.value().get(), kPage, {});
  ReadReport report;
  const Status status = pages.value().Read(PhysAddr{test::kFlatStart + 0x123},
                                           destination.bytes().subspan(0x777, 3 * kPage), report);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().address, reinterpret_cast<uintptr_t>(destination.third()));
}

TEST_P(BadDestination, ZeroFill) {
  Destination destination(GetParam());
  const Status status = ZeroFill(destination.bytes());
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().address, reinterpret_cast<uintptr_t>(destination.third()));
}

TEST_P(BadDestination, SafeCopyTellsHowFarItCame) {
  Destination destination(GetParam());
  const Bytes from = test::RandomBytes(4 * kPage, 1);
  const SafeCopyResult copy = SafeCopy(from, destination.bytes().data());
  EXPECT_EQ(copy.system_errno, EFAULT);
  EXPECT_EQ(copy.bytes, 2 * kPage);
}

TEST_P(BadDestination, FaultInFails) {
  Destination destination(GetParam());
  EXPECT_NE(FaultIn(destination.bytes()), 0);
  EXPECT_EQ(FaultIn(destination.bytes().first(2 * kPage)), 0);
}

/// Through the public library, of a file: what an embedder does.
int ReadPublicly(const std::string& path, Bad bad) {
  Destination destination(bad);
  auto memory = Memory::Open(path);
  if (!memory.ok()) return 10;
  auto reader = memory.value().NewReader();
  if (!reader.ok()) return 11;
  const auto report = reader.value().Read(PhysAddr{test::kHighRam}, destination.bytes());
  if (report.ok()) return 12;
  if (report.error().code != ErrorCode::kInvalidArgument) return 13;
  return report.error().address == reinterpret_cast<uintptr_t>(destination.third()) ? 0 : 14;
}

TEST_P(BadDestination, AnElfCoreGivesAnError) {
  const test::MemoryFile file(test::SmallCore().Build());
  // In a child, for a signal must not end the other tests.
  EXPECT_EXIT(_exit(ReadPublicly(file.path(), GetParam())), ::testing::ExitedWithCode(0), "");
}

TEST_P(BadDestination, ASnapshotGivesAnError) {
  const test::MemoryFile file(test::RawSnapshot::Of(test::SmallCore().Build()).Build());
  EXPECT_EXIT(_exit(ReadPublicly(file.path(), GetParam())), ::testing::ExitedWithCode(0), "");
}

TEST(SafeCopy, CopiesAndNothingIsFineToo) {
  const Bytes from = test::RandomBytes(10'000, 2);
  Bytes to(10'000);
  EXPECT_EQ(SafeCopy(from, to.data()).bytes, from.size());
  EXPECT_EQ(to, from);
  EXPECT_EQ(SafeCopy({}, nullptr).system_errno, 0);
}

TEST(SafeCopy, NullIsAnErrno) {
  const Bytes from(1);
  EXPECT_EQ(SafeCopy(from, nullptr).system_errno, EFAULT);
}

TEST(FaultIn, MakesUntouchedPagesPresent) {
  void* const memory =
      mmap(nullptr, 4 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const std::span<std::byte> bytes(static_cast<std::byte*>(memory), 4 * kPage);
  EXPECT_EQ(FaultIn(bytes.subspan(100, 2 * kPage)), 0);
  unsigned char present[4]{};
  ASSERT_EQ(mincore(memory, 4 * kPage, present), 0);
  EXPECT_TRUE((present[0] & 1) && (present[1] & 1) && (present[2] & 1));
  EXPECT_FALSE(present[3] & 1);
  munmap(memory, 4 * kPage);
}

}  // namespace
}  // namespace kcoredump
