// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/unique_fd.h"
#include "source/locked_buffer.h"
#include "source/memory_source.h"
#include "source/page_flags.h"

namespace kcoredump {

/// One thread's descriptor of /proc/kcore, and the layout it has at the moment.
class KcoreReader : public SourceReader {
 public:
  [[nodiscard]] static Result<std::unique_ptr<KcoreReader>> Create(UniqueFd fd,
                                                                   PageFlagsReader flags,
                                                                   MemoryBlocks blocks,
                                                                   uint64_t page_bytes);

  int64_t ReadUpTo(Location at, std::span<std::byte> out) override;
  void Label(PhysAddr first, std::span<PageLabel> labels) override;
  bool Classify(PhysAddr first, std::span<PageClass> classes) override {
    flags_.Classify(first, classes);
    return true;
  }
  bool TellKinds(PhysAddr first, std::span<PageKind> kinds) override {
    flags_.TellKinds(first, kinds);
    return true;
  }
  std::optional<PhysAddr> ToPhysical(Location at) const override { return map_->ToPhysical(at); }
  bool labels_may_change() const override { return true; }
  uint64_t moves() const override { return moves_; }

 private:
  KcoreReader(UniqueFd fd, PageFlagsReader flags, MemoryBlocks blocks, uint64_t page_bytes);
  [[nodiscard]] Status LoadLayout();
  [[nodiscard]] Result<bool> LayoutMoved();
  [[nodiscard]] int64_t ReadOnce(Location at, std::span<std::byte> out);
  [[nodiscard]] int ClearKernelBounce();
  [[nodiscard]] Result<PhysAddr> ZeroPage();

  UniqueFd fd_;
  PageFlagsReader flags_;
  MemoryBlocks blocks_;
  uint64_t page_bytes_;
  std::vector<std::byte> head_;     ///< ELF header and program headers as last seen
  std::vector<std::byte> scratch_;  ///< the same, read again
  std::optional<MemoryMap> map_;
  std::optional<LockedBuffer> zeros_;  ///< a page of ours that is zero, and one to read it into
  uint64_t moves_ = 0;
};

}  // namespace kcoredump
