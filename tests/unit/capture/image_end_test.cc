// SPDX-License-Identifier: MIT
#include "capture/image_end.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <limits>

#include "format/snapshot/reader.h"
#include "format/snapshot/writer.h"
#include "support/files.h"
#include "support/memory_sink.h"
#include "support/raw_snapshot.h"

namespace kcoredump {
namespace {

using test::Bytes;

/// A disk that gives the same error for every write after its first `good_bytes`, rewound or not.
class DyingSink : public test::MemorySink {
 public:
  DyingSink(uint64_t good_bytes, int system_errno, unsigned failures)
      : left_(good_bytes), errno_(system_errno), failures_(failures) {}

  Status Write(std::span<const std::byte> bytes) override {
    if (bytes.size() > left_ && failures_ != 0) {
      left_ = 0;
      --failures_;
      return SystemError("sink", errno_);
    }
    left_ -= std::min<uint64_t>(left_, bytes.size());
    return MemorySink::Write(bytes);
  }

 private:
  uint64_t left_;
  int errno_;
  unsigned failures_;
};

constexpr unsigned kForEver = std::numeric_limits<unsigned>::max();

/// A hundred frames that do not compress, as far as the sink takes them.
class FinishImageTest : public ::testing::Test {
 protected:
  static constexpr size_t kFrameBytes = 16384;
  static constexpr size_t kFrames = 100;

  std::optional<Error> Append(ByteSink& sink) {
    writer_.emplace(&sink, kFrames);
    for (size_t i = 0; i < kFrames; ++i) {
      const Bytes frame = test::CompressedFrame(test::RandomBytes(kFrameBytes, i));
      EncodedBatch batch;
      batch.bytes = std::make_unique<std::byte[]>(frame.size());
      std::copy(frame.begin(), frame.end(), batch.bytes.get());
      batch.pieces = {
          {.encoded_bytes = static_cast<uint32_t>(frame.size()), .content_bytes = kFrameBytes}};
      if (Status status = writer_->Append(batch); !status.ok()) return status.error();
    }
    return std::nullopt;
  }
  Result<Trailer> Finish(std::optional<Error> failure) {
    return FinishImage(*writer_, std::move(failure), [this](const std::optional<Error>& error) {
      ++trailers_;
      Trailer trailer;
      trailer.complete = !error;
      trailer.page_bytes = test::kPage;
      trailer.plain_bytes = writer_->plain_bytes();
      trailer.expected_bytes = kFrames * kFrameBytes;
      if (error) trailer.reason = error->message;
      return trailer;
    });
  }

  std::optional<SnapshotWriter> writer_;
  unsigned trailers_ = 0;
};

TEST_F(FinishImageTest, WithoutTroubleIsWrittenOnce) {
  test::MemorySink sink;
  const auto trailer = Finish(Append(sink));
  ASSERT_TRUE(trailer.ok()) << trailer.error().message;
  EXPECT_TRUE(trailer.value().complete);
  EXPECT_EQ(trailers_, 1U);
  EXPECT_EQ(sink.rewinds(), 0U);
}

TEST_F(FinishImageTest, AFullDiskCostsTheNewestFrames) {
  test::MemorySink sink(50 * kFrameBytes);
  const auto trailer = Finish(Append(sink));
  ASSERT_TRUE(trailer.ok()) << trailer.error().message;
  EXPECT_FALSE(trailer.value().complete);
  EXPECT_GT(trailer.value().plain_bytes, 40 * kFrameBytes);
  const test::MemoryFile file(sink.content());
  const auto snapshot = SnapshotFile::Open(file.path());
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().message;
  EXPECT_TRUE(snapshot.value()->damage().empty());
}

/// EIO and EROFS last: making room for ever would destroy what is on the disk.
TEST_F(FinishImageTest, AnErrorThatLastsLeavesWhatWasWritten) {
  for (const int failure : {EIO, EROFS}) {
    DyingSink sink(50 * kFrameBytes, failure, kForEver);
    const auto trailer = Finish(Append(sink));
    ASSERT_FALSE(trailer.ok());
    EXPECT_EQ(trailer.error().system_errno, failure);
    EXPECT_LE(sink.rewinds(), 2U);
    const test::MemoryFile file(sink.content());
    const auto torn = SnapshotFile::Open(file.path());
    ASSERT_TRUE(torn.ok()) << torn.error().message;
    EXPECT_GT(torn.value()->frames().size(), 30U);
    EXPECT_FALSE(torn.value()->trailer());
  }
}

TEST_F(FinishImageTest, AnErrorThatPassesCostsLittle) {
  DyingSink sink(50 * kFrameBytes, EIO, 2);
  const auto trailer = Finish(Append(sink));
  ASSERT_TRUE(trailer.ok()) << trailer.error().message;
  EXPECT_FALSE(trailer.value().complete);
  EXPECT_GT(trailer.value().plain_bytes, 30 * kFrameBytes);
}

TEST_F(FinishImageTest, ADiskWithoutRoomForAFrameEndsToo) {
  test::MemorySink sink(10);
  const auto trailer = Finish(Append(sink));
  ASSERT_FALSE(trailer.ok());
  EXPECT_EQ(trailer.error().system_errno, ENOSPC);
}

}  // namespace
}  // namespace kcoredump
