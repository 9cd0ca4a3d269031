// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "kcoredump/kcoredump.h"
#include "support/elf_builder.h"
#include "support/files.h"
#include "support/raw_snapshot.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kPage;

kcd_error NoError() {
  kcd_error error{};
  error.size = sizeof error;
  return error;
}

kcd_address Physical(uint64_t address) { return {address, KCD_PHYSICAL, 0}; }

/// An image that is open, and a reader of it.
class OpenImage {
 public:
  explicit OpenImage(const Bytes& content) : file_(content) {
    kcd_error error = NoError();
    EXPECT_EQ(kcd_open(file_.path().c_str(), &image, &error), KCD_OK) << error.message;
    EXPECT_EQ(kcd_reader_open(image, &reader, &error), KCD_OK) << error.message;
  }
  ~OpenImage() {
    kcd_reader_free(reader);
    kcd_image_free(image);
  }
  OpenImage(const OpenImage&) = delete;
  OpenImage& operator=(const OpenImage&) = delete;

  kcd_image* image = nullptr;
  kcd_reader* reader = nullptr;

 private:
  test::MemoryFile file_;
};

/// A piece with room for all its pages.
struct PieceRoom {
  PieceRoom(kcd_address at, size_t length)
      : out(length, std::byte{0xee}), pages(length / kPage + 2) {
    piece.size = sizeof piece;
    piece.at = at;
    piece.length = length;
    piece.out = out.data();
    piece.pages = pages.data();
    piece.page_capacity = pages.size();
  }
  Bytes out;
  std::vector<kcd_page> pages;
  kcd_read piece{};
};

Bytes HoledSnapshot() {
  test::RawSnapshot raw = test::RawSnapshot::Of(test::SmallCore().Build());
  const auto run = [](uint64_t at, PageOutcome outcome, int system_errno = 0) {
    return PageRun{
        .first = PhysAddr{at}, .pages = 1, .outcome = outcome, .system_errno = system_errno};
  };
  raw.trailer.counts = {.direct = 18,
                        .retried = 1,
                        .unreadable = 1,
                        .hwpoison = 1,
                        .offline = 1,
                        .absent = 1,
                        .excluded = 1};
  raw.trailer.runs = {
      run(0x1000, PageOutcome::kRetried),  run(0x2000, PageOutcome::kUnreadable, EIO),
      run(0x3000, PageOutcome::kHwPoison), run(0x4000, PageOutcome::kOffline),
      run(0x5000, PageOutcome::kAbsent),   run(0x6000, PageOutcome::kExcluded)};
  return raw.Build();
}

TEST(CAbi, OneOutcomeAPageWithPartialSuccess) {
  OpenImage open(HoledSnapshot());
  PieceRoom room(Physical(0x1000), 7 * kPage);
  kcd_error error = NoError();
  ASSERT_EQ(kcd_read_pieces(open.reader, &room.piece, 1, &error), KCD_OK) << error.message;
  ASSERT_EQ(room.piece.page_count, 7U);
  EXPECT_EQ(room.piece.hole_pages, 5U);
  const uint32_t wanted[] = {KCD_PAGE_OK,      KCD_PAGE_UNREADABLE, KCD_PAGE_POISONED,
                             KCD_PAGE_OFFLINE, KCD_PAGE_ABSENT,     KCD_PAGE_EXCLUDED,
                             KCD_PAGE_OK};
  for (size_t i = 0; i < 7; ++i) EXPECT_EQ(room.pages[i].outcome, wanted[i]) << i;
  EXPECT_EQ(room.pages[1].system_errno, EIO);
  EXPECT_EQ(Bytes(room.out.begin(), room.out.begin() + kPage), test::SmallCoreBytes(0x1000, kPage));
  EXPECT_EQ(Bytes(room.out.begin() + kPage, room.out.begin() + 6 * kPage), Bytes(5 * kPage));
  EXPECT_EQ(Bytes(room.out.begin() + 6 * kPage, room.out.end()),
            test::SmallCoreBytes(0x7000, kPage));
}

TEST(CAbi, ZeroPagesAreToldFromHoles) {
  OpenImage open(test::SmallCore().Build());
  PieceRoom room(Physical(test::kZeroedAt - 16), kPage + 32);
  ASSERT_EQ(kcd_read_pieces(open.reader, &room.piece, 1, nullptr), KCD_OK);
  ASSERT_EQ(room.piece.page_count, 3U);
  EXPECT_EQ(room.pages[0].outcome, KCD_PAGE_OK);
  EXPECT_EQ(room.pages[1].outcome, KCD_PAGE_ZERO);
  EXPECT_EQ(room.pages[2].outcome, KCD_PAGE_ZERO);
  EXPECT_EQ(room.piece.hole_pages, 0U);
}

TEST(CAbi, APieceThatFailsLeavesTheOthersAlone) {
  OpenImage open(test::SmallCore().Build());
  PieceRoom first(Physical(0x1000), 100);
  PieceRoom wraps(Physical(UINT64_MAX - 10), 100);
  PieceRoom image({test::kImageBase + 0x1e00000, KCD_KERNEL, 0}, kPage);
  kcd_read pieces[] = {first.piece, wraps.piece, image.piece};
  kcd_error error = NoError();
  EXPECT_EQ(kcd_read_pieces(open.reader, pieces, 3, &error), KCD_E_INVALID);
  EXPECT_NE(std::string(error.message).find("wraps"), std::string::npos) << error.message;
  EXPECT_EQ(pieces[0].status, KCD_OK);
  EXPECT_EQ(pieces[1].status, KCD_E_INVALID);
  EXPECT_EQ(pieces[2].status, KCD_OK);
  EXPECT_EQ(first.out, test::SmallCoreBytes(0x1000, 100));
}

TEST(CAbi, AVirtualAddressThatNothingMapsIsAHole) {
  OpenImage open(test::SmallCore().Build());
  PieceRoom direct({test::kDirectMap + 0x1000, KCD_KERNEL, 0}, kPage);
  ASSERT_EQ(kcd_read_pieces(open.reader, &direct.piece, 1, nullptr), KCD_OK);
  EXPECT_EQ(direct.pages[0].outcome, KCD_PAGE_OK);
  EXPECT_EQ(direct.out, test::SmallCoreBytes(0x1000, kPage));
  PieceRoom nowhere({0xffffc90000000000, KCD_KERNEL, 0}, 2 * kPage);
  ASSERT_EQ(kcd_read_pieces(open.reader, &nowhere.piece, 1, nullptr), KCD_OK);
  EXPECT_EQ(nowhere.pages[0].outcome, KCD_PAGE_UNMAPPED);
  EXPECT_EQ(nowhere.piece.hole_pages, 2U);
  EXPECT_EQ(nowhere.out, Bytes(2 * kPage));
}

TEST(CAbi, ReadBytesNamesTheFirstHole) {
  OpenImage open(HoledSnapshot());
  Bytes out(2 * kPage);
  kcd_error error = NoError();
  EXPECT_EQ(kcd_read_bytes(open.reader, Physical(0x1800), out.data(), kPage, &error),
            KCD_E_UNREADABLE);
  EXPECT_EQ(error.address, 0x2000U);
  EXPECT_EQ(error.system_errno, EIO);
  EXPECT_EQ(kcd_read_bytes(open.reader, Physical(0x1800), out.data(), 0x800, &error), KCD_OK);
}

TEST(CAbi, ABadDestinationIsAnErrorWithItsAddress) {
  OpenImage open(test::SmallCore().Build());
  void* page = mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  kcd_error error = NoError();
  EXPECT_EQ(kcd_read_bytes(open.reader, Physical(0x1000), page, kPage, &error), KCD_E_INVALID);
  EXPECT_EQ(error.address, reinterpret_cast<uint64_t>(page));
  EXPECT_EQ(kcd_read_bytes(open.reader, {1, KCD_KERNEL, 0}, page, kPage, &error), KCD_E_INVALID);
  munmap(page, kPage);
}

TEST(CAbi, PagesBeyondTheCapacityAreCountedAlone) {
  OpenImage open(HoledSnapshot());
  PieceRoom room(Physical(0x1000), 4 * kPage);
  room.piece.page_capacity = 2;
  room.pages[2].outcome = 77;
  ASSERT_EQ(kcd_read_pieces(open.reader, &room.piece, 1, nullptr), KCD_OK);
  EXPECT_EQ(room.piece.page_count, 4U);
  EXPECT_EQ(room.piece.hole_pages, 3U);
  EXPECT_EQ(room.pages[2].outcome, 77U);
  room.piece.pages = nullptr;
  EXPECT_EQ(kcd_read_pieces(open.reader, &room.piece, 1, nullptr), KCD_OK);
}

TEST(CAbi, HostileArguments) {
  OpenImage open(test::SmallCore().Build());
  kcd_error error = NoError();
  EXPECT_EQ(kcd_open(nullptr, &open.image, &error), KCD_E_INVALID);
  EXPECT_EQ(kcd_open("/nonexistent/x", nullptr, &error), KCD_E_INVALID);
  EXPECT_EQ(kcd_reader_open(nullptr, &open.reader, nullptr), KCD_E_INVALID);
  PieceRoom room(Physical(0x1000), kPage);
  room.piece.size = 8;
  EXPECT_EQ(kcd_read_pieces(open.reader, &room.piece, 1, &error), KCD_E_INVALID);
  room.piece.size = sizeof(kcd_read);
  room.piece.at.space = 9;
  EXPECT_EQ(kcd_read_pieces(open.reader, &room.piece, 1, &error), KCD_E_INVALID);
  room.piece.at.space = KCD_PHYSICAL;
  room.piece.length = KCD_MAX_READ_BYTES + 1;
  EXPECT_EQ(kcd_read_pieces(open.reader, &room.piece, 1, &error), KCD_E_LIMIT);
  EXPECT_EQ(kcd_read_pieces(open.reader, nullptr, 1, &error), KCD_E_INVALID);
  EXPECT_EQ(kcd_read_pieces(open.reader, nullptr, 0, &error), KCD_OK);
  EXPECT_EQ(kcd_read_bytes(open.reader, Physical(0), nullptr, UINT64_MAX, &error), KCD_E_LIMIT);
  EXPECT_EQ(kcd_symbols_find(open.image, nullptr, 0, nullptr, &error), KCD_E_INVALID);
  EXPECT_EQ(kcd_symbols_get(nullptr, 0, nullptr, &error), KCD_E_INVALID);
  EXPECT_EQ(kcd_tasks_get(nullptr, SIZE_MAX, nullptr, &error), KCD_E_INVALID);
  EXPECT_EQ(kcd_segment_get(open.image, SIZE_MAX, nullptr, &error), KCD_E_INVALID);
  kcd_segment segment{};
  EXPECT_EQ(kcd_segment_get(open.image, 0, &segment, &error), KCD_E_INVALID);
  kcd_symbols_free(nullptr);
  kcd_tasks_free(nullptr);
  kcd_translation_free(nullptr);
  kcd_capture_report_free(nullptr);
  kcd_image_free(nullptr);
}

TEST(CAbi, AnErrorOfAnOtherSizeIsLeftAlone) {
  kcd_error error{};
  error.size = 16;
  error.code = 42;
  kcd_image* image = nullptr;
  EXPECT_EQ(kcd_open("/nonexistent/x", &image, &error), KCD_E_NOT_FOUND);
  EXPECT_EQ(error.code, 42);
  EXPECT_EQ(kcd_open("/nonexistent/x", &image, nullptr), KCD_E_NOT_FOUND);
  error = NoError();
  const std::string long_path = "/nonexistent/" + std::string(2000, 'x');
  EXPECT_NE(kcd_open(long_path.c_str(), &image, &error), KCD_OK);
  EXPECT_LT(std::strlen(error.message), sizeof error.message);
}

TEST(CAbi, ADescriptorMayBeClosedAfterwards) {
  const test::MemoryFile file(test::SmallCore().Build());
  const int fd = open(file.path().c_str(), O_RDONLY | O_CLOEXEC);
  kcd_image* image = nullptr;
  kcd_error error = NoError();
  ASSERT_EQ(kcd_open_fd(fd, &image, &error), KCD_OK) << error.message;
  close(fd);
  kcd_reader* reader = nullptr;
  ASSERT_EQ(kcd_reader_open(image, &reader, &error), KCD_OK);
  Bytes out(64);
  EXPECT_EQ(kcd_read_bytes(reader, Physical(0x1000), out.data(), 64, &error), KCD_OK);
  EXPECT_EQ(out, test::SmallCoreBytes(0x1000, 64));
  char* json = nullptr;
  EXPECT_EQ(kcd_info_json(image, &json, &error), KCD_OK) << error.message;
  EXPECT_NE(std::string(json).find("6.1.0-test"), std::string::npos);
  kcd_string_free(json);
  kcd_reader_free(reader);
  kcd_image_free(image);
  EXPECT_EQ(kcd_open_fd(-1, &image, &error), KCD_E_INVALID);
}

TEST(CAbi, SegmentsAndVmcoreinfo) {
  OpenImage open(test::SmallCore().Build());
  ASSERT_EQ(kcd_segment_count(open.image), 3U);
  kcd_segment segment{};
  segment.size = sizeof segment;
  ASSERT_EQ(kcd_segment_get(open.image, 1, &segment, nullptr), KCD_OK);
  EXPECT_EQ(segment.phys, test::kHighRam);
  EXPECT_EQ(segment.bytes, test::kHighRamBytes);
  EXPECT_STREQ(segment.kind, "ram");
  EXPECT_EQ(kcd_page_bytes(open.image), kPage);
  char* text = nullptr;
  ASSERT_EQ(kcd_vmcoreinfo(open.image, &text, nullptr), KCD_OK);
  EXPECT_NE(std::string(text).find("OSRELEASE=6.1.0-test"), std::string::npos);
  kcd_string_free(text);
}

TEST(CAbi, WhatAnImageLacksIsAnErrorThatNamesIt) {
  OpenImage open(test::SmallCore().Build());
  kcd_error error = NoError();
  uint64_t bytes = 0;
  EXPECT_LT(kcd_type_size(open.image, "struct task_struct", &bytes, &error), 0);
  EXPECT_NE(std::string(error.message).find("BTF"), std::string::npos) << error.message;
  kcd_tasks* tasks = nullptr;
  EXPECT_LT(kcd_tasks_list(open.image, 0, &tasks, &error), 0);
  EXPECT_EQ(tasks, nullptr);
  kcd_address address{};
  EXPECT_EQ(kcd_resolve(open.image, "phys:0x1000", &address, &error), KCD_OK);
  EXPECT_EQ(address.space, static_cast<uint32_t>(KCD_PHYSICAL));
  EXPECT_EQ(address.address, 0x1000U);
  EXPECT_LT(kcd_resolve(open.image, "no_such_symbol", &address, &error), 0);
}

TEST(CAbi, ManyThreadsOnOneImage) {
  OpenImage open(test::SmallCore().Build());
  const auto work = [&](bool virtual_addresses) {
    kcd_reader* reader = nullptr;
    EXPECT_EQ(kcd_reader_open(open.image, &reader, nullptr), KCD_OK);
    for (int i = 0; i < 200; ++i) {
      const uint64_t at = test::kHighRam + static_cast<uint64_t>(i % 8) * kPage + 8;
      Bytes out(3 * kPage);
      const kcd_address where =
          virtual_addresses ? kcd_address{test::kDirectMap + at, KCD_KERNEL, 0} : Physical(at);
      EXPECT_EQ(kcd_read_bytes(reader, where, out.data(), out.size(), nullptr), KCD_OK);
      EXPECT_EQ(out, test::SmallCoreBytes(at, out.size()));
      char text[32];
      EXPECT_EQ(kcd_symbolize(open.image, at, text, sizeof text, nullptr), 0);
    }
    kcd_reader_free(reader);
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(work, i % 2 == 0);
  for (std::thread& thread : threads) thread.join();
}

struct Told {
  int calls = 0;
  uint64_t total = 0;
  int cancel = 0;
};

kcd_capture_options OptionsFor(const std::string& source, const std::string& output, Told* told) {
  kcd_capture_options options{};
  options.size = sizeof options;
  options.source = source.c_str();
  options.output = output.c_str();
  options.threads = 1;
  options.user = told;
  options.on_progress = [](const kcd_progress* progress, void* user) {
    auto* seen = static_cast<Told*>(user);
    ++seen->calls;
    seen->total = progress->total_bytes;
  };
  options.cancelled = [](void* user) { return static_cast<Told*>(user)->cancel; };
  return options;
}

TEST(CAbi, ANewerCallersStructIsFilledAsFarAsItIsKnown) {
  struct Newer {
    kcd_segment known;
    uint64_t more;
  };
  const OpenImage open(test::SmallCore().Build());
  Newer segment{.known = {}, .more = 0x55};
  segment.known.size = sizeof segment;
  ASSERT_EQ(kcd_segment_get(open.image, 0, &segment.known, nullptr), KCD_OK);
  EXPECT_EQ(segment.known.size, sizeof(kcd_segment));
  EXPECT_EQ(segment.more, 0x55U);
  segment.known.size = sizeof(kcd_segment) - 1;
  EXPECT_EQ(kcd_segment_get(open.image, 0, &segment.known, nullptr), KCD_E_INVALID);
}

TEST(CAbi, APieceThatAsksForMoreIsRefused) {
  const OpenImage open(test::SmallCore().Build());
  PieceRoom room(Physical(0x1000), kPage);
  room.piece.reserved = 7;
  EXPECT_EQ(kcd_read_pieces(open.reader, &room.piece, 1, nullptr), KCD_E_UNSUPPORTED);
  room.piece.reserved = 0;
  EXPECT_EQ(kcd_read_pieces(open.reader, &room.piece, 1, nullptr), KCD_OK);
  room.piece.size = sizeof(kcd_read) + 1;
  EXPECT_EQ(kcd_read_pieces(open.reader, &room.piece, 1, nullptr), KCD_E_INVALID);
}

TEST(CAbi, AnImageIsDescribedAfterItsFileIsGone) {
  const test::TempDir folder;
  const std::string path = folder.Path("core");
  const Bytes core = test::SmallCore().Build();
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(core.data()), static_cast<std::streamsize>(core.size()));
  kcd_image* image = nullptr;
  ASSERT_EQ(kcd_open(path.c_str(), &image, nullptr), KCD_OK);
  std::filesystem::remove(path);
  char* json = nullptr;
  kcd_error error = NoError();
  EXPECT_EQ(kcd_info_json(image, &json, &error), KCD_OK) << error.message;
  kcd_string_free(json);
  kcd_image_free(image);
}

TEST(CAbi, APipeThatNobodyReadsIsAnErrorAndNoSignal) {
  const test::MemoryFile file(test::SmallCore().Build());
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  const int kept = dup(STDOUT_FILENO);
  dup2(ends[1], STDOUT_FILENO);
  close(ends[1]);
  const std::string source = file.path();
  const std::string pipe_name = "-";
  Told told;
  kcd_capture_report* report = nullptr;
  const kcd_capture_options options = OptionsFor(source, pipe_name, &told);
  const int status = kcd_capture(&options, &report, nullptr);
  dup2(kept, STDOUT_FILENO);
  close(kept);
  EXPECT_TRUE(status != KCD_OK || kcd_capture_report_status(report) == KCD_CAPTURE_PARTIAL);
  kcd_capture_report_free(report);
}

TEST(CAbi, CaptureWithProgress) {
  const test::MemoryFile file(test::SmallCore().Build());
  const test::TempDir folder;
  const std::string source = file.path();
  const std::string output = folder.Path("x.elf.zst");
  Told told;
  kcd_capture_report* report = nullptr;
  kcd_error error = NoError();
  const kcd_capture_options options = OptionsFor(source, output, &told);
  ASSERT_EQ(kcd_capture(&options, &report, &error), KCD_OK) << error.message;
  EXPECT_EQ(kcd_capture_report_status(report), KCD_CAPTURE_COMPLETE);
  EXPECT_EQ(kcd_capture_report_output(report), output);
  EXPECT_NE(std::string(kcd_capture_report_json(report)).find("\"complete\""), std::string::npos);
  EXPECT_GT(told.calls, 0);
  EXPECT_GT(told.total, 0U);
  kcd_capture_report_free(report);
}

TEST(CAbi, CaptureOfARangeWithoutZeroPages) {
  const test::MemoryFile file(test::SmallCore().Build());
  const test::TempDir folder;
  const std::string source = file.path();
  const std::string output = folder.Path("x.elf.zst");
  Told told;
  kcd_capture_report* report = nullptr;
  kcd_error error = NoError();
  kcd_capture_options options = OptionsFor(source, output, &told);
  const kcd_range first_page{0x1000, 0x1001};
  options.only_ranges = &first_page;
  options.only_range_count = 1;
  options.exclude = "zero,free";
  ASSERT_EQ(kcd_capture(&options, &report, &error), KCD_OK) << error.message;
  const std::string json = kcd_capture_report_json(report);
  EXPECT_NE(json.find("\"read\": 1,"), std::string::npos) << json;
  kcd_capture_report_free(report);
  options.exclude = "nonsense";
  EXPECT_EQ(kcd_capture(&options, &report, &error), KCD_E_INVALID);
  EXPECT_NE(std::string(error.message).find("nonsense"), std::string::npos);
  options.exclude = nullptr;
  options.only_ranges = nullptr;
  EXPECT_EQ(kcd_capture(&options, &report, &error), KCD_E_INVALID);
}

TEST(CAbi, CaptureWithABase) {
  const test::MemoryFile file(test::SmallCore().Build());
  const test::TempDir folder;
  const std::string source = file.path();
  const std::string old = folder.Path("old.elf.zst");
  const std::string output = folder.Path("new.elf.zst");
  Told told;
  kcd_capture_report* report = nullptr;
  kcd_error error = NoError();
  kcd_capture_options options = OptionsFor(source, old, &told);
  options.hashes = 1;
  ASSERT_EQ(kcd_capture(&options, &report, &error), KCD_OK) << error.message;
  kcd_capture_report_free(report);
  options = OptionsFor(source, output, &told);
  options.base = old.c_str();
  ASSERT_EQ(kcd_capture(&options, &report, &error), KCD_OK) << error.message;
  EXPECT_NE(std::string(kcd_capture_report_json(report)).find("\"name\": \"old.elf.zst\""),
            std::string::npos);
  kcd_capture_report_free(report);
  std::filesystem::remove(old);
  kcd_image* image = nullptr;
  EXPECT_EQ(kcd_open(output.c_str(), &image, &error), KCD_E_NOT_FOUND);
  EXPECT_NE(std::string(error.message).find("needs its base beside it: " + old), std::string::npos);
}

TEST(CAbi, WhatOnlyALiveKernelHasIsRefusedOfADump) {
  const test::MemoryFile file(test::SmallCore().Build());
  const test::TempDir folder;
  const std::string source = file.path();
  const std::string output = folder.Path("x.elf.zst");
  Told told;
  kcd_capture_report* report = nullptr;
  kcd_error error = NoError();
  kcd_capture_options options = OptionsFor(source, output, &told);
  options.volatile_first = 1;
  EXPECT_EQ(kcd_capture(&options, &report, &error), KCD_E_INVALID);
  EXPECT_NE(std::string(error.message).find("live kernel"), std::string::npos) << error.message;
  options.volatile_first = 0;
  options.smear_pages = 4;
  EXPECT_EQ(kcd_capture(&options, &report, &error), KCD_E_INVALID);
  EXPECT_NE(std::string(error.message).find("live kernel"), std::string::npos) << error.message;
  options.smear_pages = UINT64_MAX;
  EXPECT_EQ(kcd_capture(&options, &report, &error), KCD_E_INVALID);
  EXPECT_NE(std::string(error.message).find("at most 100,000"), std::string::npos) << error.message;
}

/// A caller of the first version knows nothing of what came after.
TEST(CAbi, ShorterOptionsAreThoseOfAnOlderHeader) {
  const test::MemoryFile file(test::SmallCore().Build());
  const test::TempDir folder;
  const std::string source = file.path();
  const std::string output = folder.Path("x.elf.zst");
  Told told;
  kcd_capture_report* report = nullptr;
  kcd_error error = NoError();
  kcd_capture_options options = OptionsFor(source, output, &told);
  options.size = offsetof(kcd_capture_options, base);
  options.base = "beyond the caller's struct";
  EXPECT_EQ(kcd_capture(&options, &report, &error), KCD_OK) << error.message;
  kcd_capture_report_free(report);
}

TEST(CAbi, ACancelledCaptureIsPartialOrAnErrorAndPublishesNothingWhole) {
  const test::MemoryFile file(test::SmallCore().Build());
  const test::TempDir folder;
  const std::string source = file.path();
  const std::string output = folder.Path("x.elf.zst");
  Told told{.cancel = 1};
  kcd_capture_report* report = nullptr;
  kcd_error error = NoError();
  const kcd_capture_options options = OptionsFor(source, output, &told);
  const int status = kcd_capture(&options, &report, &error);
  if (status == KCD_OK) {
    EXPECT_EQ(kcd_capture_report_status(report), KCD_CAPTURE_PARTIAL);
  } else {
    EXPECT_EQ(status, KCD_E_CANCELLED) << error.message;
  }
  EXPECT_FALSE(std::filesystem::exists(output));
  kcd_capture_report_free(report);
}

TEST(CAbi, OptionsOfANewerHeaderAreRefusedUnlessZero) {
  struct Newer {
    kcd_capture_options known;
    uint64_t more;
  };
  const test::MemoryFile file(test::SmallCore().Build());
  const test::TempDir folder;
  const std::string source = file.path();
  const std::string output = folder.Path("x.elf.zst");
  Told told;
  Newer options{.known = OptionsFor(source, output, &told), .more = 1};
  options.known.size = sizeof options;
  kcd_capture_report* report = nullptr;
  EXPECT_EQ(kcd_capture(&options.known, &report, nullptr), KCD_E_UNSUPPORTED);
  options.more = 0;
  EXPECT_EQ(kcd_capture(&options.known, &report, nullptr), KCD_OK);
  kcd_capture_report_free(report);
  options.known.size = 3;
  EXPECT_EQ(kcd_capture(&options.known, &report, nullptr), KCD_E_INVALID);
}

}  // namespace
}  // namespace kcoredump
