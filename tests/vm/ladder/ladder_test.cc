// SPDX-License-Identifier: MIT
//
// The ladder against a real kernel. Needs root and a kernel with /proc/kcore: run in a guest.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "kcoredump/memory.h"
#include "locked_pattern.h"

namespace kcoredump::test {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kPages = 16;
constexpr size_t kBadPage = 7;

/// Anonymous memory, with one page in its middle to be spoilt.
class Destination {
 public:
  Destination()
      : memory_(mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                     -1, 0)) {}
  ~Destination() { munmap(memory_, kPages * kPage); }
  Destination(const Destination&) = delete;
  Destination& operator=(const Destination&) = delete;

  [[nodiscard]] std::span<std::byte> bytes() {
    return {static_cast<std::byte*>(memory_), kPages * kPage};
  }
  [[nodiscard]] std::byte* bad() { return bytes().data() + kBadPage * kPage; }

 private:
  void* memory_;
};

/// Reads the pattern's memory by physical address into `out`.
Result<ReadReport> ReadPattern(const LockedPattern& pattern, std::span<std::byte> out) {
  auto memory = Memory::Open(kKcorePath);
  if (!memory.ok()) return memory.error();
  auto reader = memory.value().NewReader();
  if (!reader.ok()) return reader.error();
  ReadReport whole;
  for (size_t page = 0; page < out.size() / kPage; ++page) {
    auto part = reader.value().Read(pattern.Physical(page), out.subspan(page * kPage, kPage));
    if (!part.ok()) return part.error();
    whole.counts.Add(part.value().counts);
  }
  return whole;
}

/// Reads a batch that covers the bad page, at once.
Result<ReadReport> ReadBatch(std::span<std::byte> out) {
  auto memory = Memory::Open(kKcorePath);
  if (!memory.ok()) return memory.error();
  auto reader = memory.value().NewReader();
  if (!reader.ok()) return reader.error();
  return reader.value().Read(PhysAddr{0x100000}, out);
}

void ExpectBadDestination(const Result<ReadReport>& result, const std::byte* where) {
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(result.error().address, reinterpret_cast<uintptr_t>(where)) << result.error().message;
}

TEST(Ladder, GoodDestinationIsDirectAndRight) {
  const LockedPattern pattern(kPages, 0x51);
  Destination destination;
  const auto report = ReadPattern(pattern, destination.bytes());
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().counts.direct, kPages);
  EXPECT_EQ(report.value().FirstHole(), nullptr);
  EXPECT_TRUE(pattern.Matches(destination.bytes(), 0));
}

TEST(Ladder, ProtNonePageIsAnErrorWithItsAddress) {
  Destination destination;
  ASSERT_EQ(mprotect(destination.bad(), kPage, PROT_NONE), 0);
  ExpectBadDestination(ReadBatch(destination.bytes()), destination.bad());
}

TEST(Ladder, ProtReadPageIsAnErrorWithItsAddress) {
  Destination destination;
  ASSERT_EQ(mprotect(destination.bad(), kPage, PROT_READ), 0);
  ExpectBadDestination(ReadBatch(destination.bytes()), destination.bad());
}

TEST(Ladder, MappingPastTheEndOfItsFileIsAnErrorWithItsAddress) {
  const int fd = memfd_create("short", MFD_CLOEXEC);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(ftruncate(fd, kBadPage * kPage), 0);
  void* memory = mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* bytes = static_cast<std::byte*>(memory);
  ExpectBadDestination(ReadBatch({bytes, kPages * kPage}), bytes + kBadPage * kPage);
  munmap(memory, kPages * kPage);
  close(fd);
}

/// A userfaultfd over the bad page; -1: this kernel has none for us.
int RegisterUserfault(std::byte* page, uint64_t features) {
  const int fd = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
  if (fd < 0) return -1;
  uffdio_api api{.api = UFFD_API, .features = features, .ioctls = 0};
  uffdio_register range{};
  range.range = {.start = reinterpret_cast<uintptr_t>(page), .len = kPage};
  range.mode = UFFDIO_REGISTER_MODE_MISSING;
  if (ioctl(fd, UFFDIO_API, &api) != 0 || ioctl(fd, UFFDIO_REGISTER, &range) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

TEST(Ladder, UserfaultWithoutAHandlerIsAnErrorWithItsAddress) {
  Destination destination;
  const int fd = RegisterUserfault(destination.bad(), UFFD_FEATURE_SIGBUS);
  ASSERT_GE(fd, 0) << "userfaultfd: " << strerror(errno);
  ExpectBadDestination(ReadBatch(destination.bytes()), destination.bad());
  close(fd);
}

TEST(Ladder, UserfaultThatIsServedIsRead) {
  Destination destination;
  const int fd = RegisterUserfault(destination.bad(), 0);
  ASSERT_GE(fd, 0) << "userfaultfd: " << strerror(errno);
  std::thread handler([&] {
    uffd_msg message{};
    while (read(fd, &message, sizeof(message)) != sizeof(message)) usleep(1000);
    uffdio_zeropage zero{};
    zero.range = {.start = reinterpret_cast<uintptr_t>(destination.bad()), .len = kPage};
    ioctl(fd, UFFDIO_ZEROPAGE, &zero);
  });
  const LockedPattern pattern(kPages, 0x77);
  const auto report = ReadPattern(pattern, destination.bytes());
  handler.join();
  close(fd);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().counts.read(), kPages);
  EXPECT_TRUE(pattern.Matches(destination.bytes(), 0));
}

TEST(Ladder, UnalignedReadsAcrossPagesAreRight) {
  const LockedPattern pattern(2, 0x33);
  auto memory = Memory::Open(kKcorePath);
  ASSERT_TRUE(memory.ok()) << memory.error().message;
  auto reader = memory.value().NewReader();
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  for (const size_t offset : {1UL, 7UL, 4090UL, 4095UL}) {
    for (const size_t length : {1UL, 5UL, 100UL}) {
      std::vector<std::byte> out(std::min(length, kPage - offset));
      const Location at = Location(pattern.Physical(0)).Plus(offset);
      ASSERT_TRUE(reader.value().Read(at, out).ok());
      EXPECT_EQ(std::memcmp(out.data(), pattern.Page(0) + offset, out.size()), 0);
    }
  }
}

TEST(Ladder, TwoThreadsAtOnceGetNoWrongPage) {
  constexpr unsigned kReads = 4000;
  auto memory = Memory::Open(kKcorePath);
  ASSERT_TRUE(memory.ok()) << memory.error().message;
  std::atomic<unsigned> wrong{0};
  std::atomic<unsigned> failed{0};
  const auto work = [&](uint8_t seed) {
    const LockedPattern pattern(8, seed);
    auto reader = memory.value().NewReader();
    std::vector<std::byte> out(kPage);
    for (unsigned i = 0; reader.ok() && i < kReads; ++i) {
      const auto report = reader.value().Read(pattern.Physical(i % 8), out);
      if (!report.ok() || report.value().FirstHole() != nullptr) ++failed;
      if (!pattern.Matches(out, i % 8)) ++wrong;
    }
    if (!reader.ok()) ++failed;
  };
  std::thread first(work, uint8_t{0x11});
  std::thread second(work, uint8_t{0xaa});
  first.join();
  second.join();
  EXPECT_EQ(failed.load(), 0U);
  EXPECT_EQ(wrong.load(), 0U);
}

}  // namespace
}  // namespace kcoredump::test
