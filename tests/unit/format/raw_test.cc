// SPDX-License-Identifier: MIT
#include <elf.h>
#include <gtest/gtest.h>

#include "format/raw/format.h"
#include "kcoredump/inspect.h"
#include "support/files.h"
#include "support/image_read.h"
#include "support/one_thread.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kPage;

constexpr char kSidecar[] = R"({
 "format": "kcoredump-ranges", "version": 1, "page_bytes": 4096, "machine": "x86_64",
 "comment": "whatever else there is is passed over", "nested": {"a": [1, {"b": 2}]},
 "ranges": [ {"start": "0x0000000000001000", "end": "0x0000000000009000", "offset": 0},
             {"start": "0x100000", "end": "0x104000", "offset": 32768} ],
 "holes": [ {"start": "0x2000", "pages": 2, "kind": "excluded"},
            {"start": "0x101000", "pages": 1, "kind": "unreadable", "errno": 5} ]
})";

class RawImage : public ::testing::Test {
 protected:
  void Write(std::string_view sidecar, size_t image_bytes = 12 * kPage) {
    Bytes image = test::MemoryBytes(0x1000, 0x8000);
    const Bytes high = test::MemoryBytes(0x100000, 0x4000);
    image.insert(image.end(), high.begin(), high.end());
    image.resize(image_bytes);
    test::WriteFile(path_, image);
    test::WriteFile(path_ + ".ranges.json", test::ToBytes(sidecar));
  }
  [[nodiscard]] std::string ErrorOf(std::string_view sidecar) {
    Write(sidecar);
    return test::OpenError(path_);
  }

  test::TempDir dir_;
  const std::string path_ = dir_.Path("memory.raw");
};

TEST_F(RawImage, RangesAndHoles) {
  Write(kSidecar);
  EXPECT_EQ(test::ReadImage(path_, 0x4000, 0x5000).bytes, test::MemoryBytes(0x4000, 0x5000));
  EXPECT_EQ(test::ReadImage(path_, 0x102000, 16).bytes, test::MemoryBytes(0x102000, 16));
  EXPECT_EQ(test::ReadImage(path_, 0x2000, 0x2000).report.counts.excluded, 2U);
  const auto back = test::ReadImage(path_, 0x101000, 16);
  ASSERT_NE(back.report.FirstHole(), nullptr);
  EXPECT_EQ(back.report.FirstHole()->system_errno, EIO);
  const auto source = test::OpenImage(path_);
  EXPECT_EQ(source->machine(), EM_X86_64);
  const PageCounts counts = source->Counts().value();
  EXPECT_EQ(counts.direct, 9U);
  EXPECT_EQ(counts.excluded, 2U);
  EXPECT_EQ(counts.unreadable, 1U);
  EXPECT_EQ(source->IncompleteReason(), "");
  EXPECT_EQ(Describe(path_).value().format, "raw");
}

TEST_F(RawImage, WithoutItsRangesItIsNotTakenForOne) {
  Write(kSidecar);
  std::filesystem::remove(path_ + ".ranges.json");
  const std::string error = test::OpenError(path_);
  EXPECT_NE(error.find(path_ + ".ranges.json"), std::string::npos) << error;
}

TEST_F(RawImage, TheRangesDecideWhateverTheFileBeginsWith) {
  Write(kSidecar);
  Bytes image = test::ReadFile(path_);
  const Bytes magic = test::ToBytes("KDUMP   ");
  std::copy(magic.begin(), magic.end(), image.begin());
  test::WriteFile(path_, image);
  EXPECT_EQ(test::OpenImage(path_)->Facts().format, "raw");
}

TEST_F(RawImage, ItsVmcoreinfoIsANote) {
  Write(R"({"format": "kcoredump-ranges", "version": 1, "page_bytes": 4096,
            "vmcoreinfo": "OSRELEASE=6.1.0-raw\nPAGESIZE=4096\n",
            "ranges": [{"start": "0x1000", "end": "0x9000", "offset": 0}]})");
  const auto source = test::OpenImage(path_);
  EXPECT_EQ(VmcoreinfoText(*source), "OSRELEASE=6.1.0-raw\nPAGESIZE=4096\n");
  EXPECT_EQ(source->machine(), EM_NONE);
  EXPECT_EQ(Describe(path_).value().kernel_release, "6.1.0-raw");
}

TEST_F(RawImage, ToJsonGivesWhatParseTakes) {
  RawRanges ranges;
  ranges.page_bytes = 4096;
  ranges.machine = EM_AARCH64;
  ranges.vmcoreinfo = "OSRELEASE=\"6.1\"\n";
  ranges.ranges = {{.phys = {0x1000, 0x9000}, .offset = 0},
                   {.phys = {0xffff000000000000, 0xffff000000001000}, .offset = 1 << 20}};
  ranges.holes = {{.first = PhysAddr{0x3000}, .pages = 1, .outcome = PageOutcome::kOffline},
                  {.first = PhysAddr{0x5000},
                   .pages = 2,
                   .outcome = PageOutcome::kUnreadable,
                   .system_errno = EFAULT}};
  const auto parsed = ParseRawRanges(ToJson(ranges));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed.value(), ranges);
}

TEST_F(RawImage, AFileThatIsTooShort) {
  Write(kSidecar, 10 * kPage + 100);
  const auto source = test::OpenImage(path_);
  EXPECT_NE(source->IncompleteReason().find("0x0000000000100000"), std::string::npos);
  EXPECT_EQ(test::ReadImage(path_, 0x102000, 0x2000).report.counts.not_reached, 2U);
  const auto report = Verify(path_, test::OneThread());
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(report.value().complete);
}

TEST_F(RawImage, RangesThatMakeNoSense) {
  const auto with_ranges = [&](const std::string& ranges) {
    return ErrorOf(R"({"format": "kcoredump-ranges", "version": 1, "page_bytes": 4096,
                       "ranges": )" +
                   ranges + "}");
  };
  EXPECT_EQ(with_ranges(R"([{"start": "0x1000", "end": "0x9000", "offset": 0}])"), "");
  for (const char* ranges :
       {"[]", "7", "[7]", "[{}]", R"([{"start": "0x9000", "end": "0x1000", "offset": 0}])",
        R"([{"start": "0x1000", "end": "0x1000", "offset": 0}])",
        R"([{"start": "1000", "end": "0x9000", "offset": 0}])",
        R"([{"start": "0x1000", "end": "0x9000"}])",
        R"([{"start": "0x1000", "end": "0x9000", "offset": -1}])",
        R"([{"start": "0x1000", "end": "0x9000", "offset": 18446744073709551615}])",
        R"([{"start": "0x1000", "end": "0x11111111111111111", "offset": 0}])",
        R"([{"start": 4096, "end": "0x9000", "offset": 0}])",
        R"([{"start": "0x1000", "end": "0x9000", "offset": 0},
            {"start": "0x8000", "end": "0xa000", "offset": 0}])"}) {
    EXPECT_NE(with_ranges(ranges), "") << ranges;
  }
}

TEST_F(RawImage, HolesThatMakeNoSense) {
  const auto with_holes = [&](const std::string& holes) {
    return ErrorOf(R"({"format": "kcoredump-ranges", "version": 1, "page_bytes": 4096,
                       "ranges": [{"start": "0x1000", "end": "0x9000", "offset": 0}],
                       "holes": )" +
                   holes + "}");
  };
  EXPECT_EQ(with_holes(R"([{"start": "0x1000", "pages": 1, "kind": "absent"}])"), "");
  for (const char* holes :
       {R"([{"start": "0x1001", "pages": 1, "kind": "absent"}])",
        R"([{"start": "0x1000", "pages": 0, "kind": "absent"}])",
        R"([{"start": "0x1000", "pages": 1, "kind": "direct"}])",
        R"([{"start": "0x1000", "pages": 18446744073709551615, "kind": "absent"}])",
        R"([{"start": "0x1000", "pages": 1, "kind": "unreadable", "errno": 4294967296}])",
        R"([{"start": "0x2000", "pages": 1, "kind": "absent"},
            {"start": "0x1000", "pages": 1, "kind": "absent"}])",
        R"([{"start": "0x1000", "pages": 2, "kind": "absent"},
            {"start": "0x2000", "pages": 1, "kind": "absent"}])"}) {
    EXPECT_NE(with_holes(holes), "") << holes;
  }
}

TEST_F(RawImage, NotTheJsonThatItShouldBe) {
  for (const char* json : {"", "{", "[]", "7", "\xff\xfe", R"({"format": "other"})",
                           R"({"format": "kcoredump-ranges", "version": 2})",
                           R"({"format": "kcoredump-ranges", "version": 1, "page_bytes": 5000})",
                           R"({"format": "kcoredump-ranges", "version": 1, "page_bytes": 4096})"}) {
    const std::string error = ErrorOf(json);
    EXPECT_NE(error.find(path_), std::string::npos) << json << "\n" << error;
  }
}

/// JSON whose parsed form would be a hundred times as large.
TEST_F(RawImage, JsonThatAsksForGigabytes) {
  const size_t size = 8 << 20;
  std::string deep(size, '[');
  EXPECT_NE(ErrorOf(deep), "");
  std::string flat = R"({"format": "kcoredump-ranges", "version": 1, "page_bytes": 4096, "x": [)";
  while (flat.size() < size) flat += "{},[],0,";
  EXPECT_NE(ErrorOf(flat + "0]}"), "");
  std::string keys = "{";
  for (size_t i = 0; keys.size() < size; ++i) keys += "\"" + std::to_string(i) + "\":0,";
  EXPECT_NE(ErrorOf(keys + "\"x\":0}"), "");
}

}  // namespace
}  // namespace kcoredump
