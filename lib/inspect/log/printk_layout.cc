// SPDX-License-Identifier: MIT
#include "inspect/log/printk_layout.h"

#include <string>
#include <vector>

#include "base/error.h"

namespace kcoredump {

namespace {

constexpr uint64_t kMaxStructBytes = 4096;

/// Takes a layout out of VMCOREINFO and remembers what is missing.
class LayoutReader {
 public:
  explicit LayoutReader(const VmcoreInfo& info) : info_(info) {}

  Result<PrintkLayout> Read() {
    PrintkLayout layout;
    ReadRing(layout);
    layout.desc_bytes = Size("prb_desc");
    layout.state = Offset({"prb_desc.state_var", "atomic_long_t.counter"}, 8, layout.desc_bytes);
    layout.begin =
        Offset({"prb_desc.text_blk_lpos", "prb_data_blk_lpos.begin"}, 8, layout.desc_bytes);
    layout.next =
        Offset({"prb_desc.text_blk_lpos", "prb_data_blk_lpos.next"}, 8, layout.desc_bytes);
    ReadInfo(layout);
    if (problem_.empty()) return layout;
    return MakeError(ErrorCode::kUnsupported,
                     "the log cannot be read: VMCOREINFO of this kernel " + problem_);
  }

 private:
  void ReadRing(PrintkLayout& layout) {
    const uint64_t bytes = layout.ring_bytes = Size("printk_ringbuffer");
    const std::string ring = "printk_ringbuffer.desc_ring";
    const std::string text = "printk_ringbuffer.text_data_ring";
    layout.count_bits = Offset({ring, "prb_desc_ring.count_bits"}, 4, bytes);
    layout.descs = Offset({ring, "prb_desc_ring.descs"}, 8, bytes);
    layout.infos = Offset({ring, "prb_desc_ring.infos"}, 8, bytes);
    layout.head_id = Offset({ring, "prb_desc_ring.head_id", "atomic_long_t.counter"}, 8, bytes);
    layout.tail_id = Offset({ring, "prb_desc_ring.tail_id", "atomic_long_t.counter"}, 8, bytes);
    layout.size_bits = Offset({text, "prb_data_ring.size_bits"}, 4, bytes);
    layout.data = Offset({text, "prb_data_ring.data"}, 8, bytes);
  }

  void ReadInfo(PrintkLayout& layout) {
    const uint64_t bytes = layout.info_bytes = Size("printk_info");
    layout.seq = Offset({"printk_info.seq"}, 8, bytes);
    layout.time = Offset({"printk_info.ts_nsec"}, 8, bytes);
    layout.text_len = Offset({"printk_info.text_len"}, 2, bytes);
    layout.caller = Offset({"printk_info.caller_id"}, 4, bytes);
    // VMCOREINFO does not name the two bytes between them: facility, and flags:5 with level:3.
    layout.has_flags = layout.caller == layout.text_len + 4;
    layout.subsystem_bytes = info_.Length("printk_info_subsystem").value_or(0);
    layout.device_bytes = info_.Length("printk_info_device").value_or(0);
    layout.subsystem = Offset({"printk_info.dev_info", "dev_printk_info.subsystem"},
                              layout.subsystem_bytes, bytes);
    layout.device =
        Offset({"printk_info.dev_info", "dev_printk_info.device"}, layout.device_bytes, bytes);
  }

  uint64_t Size(const std::string& name) {
    const auto size = info_.Size(name);
    if (size && *size != 0 && *size <= kMaxStructBytes) return *size;
    if (problem_.empty()) problem_ = (size ? "has a wrong SIZE(" : "lacks SIZE(") + name + ")";
    return 0;
  }

  /// The sum of the offsets, which must leave room for `width` bytes of `whole`.
  uint64_t Offset(const std::vector<std::string>& names, uint64_t width, uint64_t whole) {
    uint64_t sum = 0;
    for (const std::string& name : names) {
      const auto offset = info_.Offset(name);
      if (!problem_.empty()) return 0;
      if (!offset) problem_ = "lacks OFFSET(" + name + ")";
      if (offset && *offset > whole) problem_ = "has a wrong OFFSET(" + name + ")";
      sum += offset.value_or(0);
    }
    if (problem_.empty() && (sum > whole || width > whole - sum)) {
      problem_ = "has a wrong OFFSET(" + names.back() + ")";
    }
    return problem_.empty() ? sum : 0;
  }

  const VmcoreInfo& info_;
  std::string problem_;
};

}  // namespace

Result<PrintkLayout> ReadPrintkLayout(const VmcoreInfo& info) { return LayoutReader(info).Read(); }

}  // namespace kcoredump
