// SPDX-License-Identifier: MIT
//
// The public Memory: any format behind one class.
#include "kcoredump/memory.h"

#include <unistd.h>

#include "base/try.h"
#include "format/registry.h"
#include "source/range_reader.h"

namespace kcoredump {

const char* DefaultSource() { return access(kVmcorePath, F_OK) == 0 ? kVmcorePath : kKcorePath; }

class MemoryImpl {
 public:
  std::unique_ptr<MemorySource> source;
};

class MemoryReaderImpl {
 public:
  std::shared_ptr<const MemoryImpl> memory;  // the reader below points into it
  std::unique_ptr<RangeReader> reader;
};

MemoryReader::MemoryReader(std::unique_ptr<MemoryReaderImpl> impl) : impl_(std::move(impl)) {}
MemoryReader::MemoryReader(MemoryReader&&) noexcept = default;
MemoryReader& MemoryReader::operator=(MemoryReader&&) noexcept = default;
MemoryReader::~MemoryReader() = default;

Result<ReadReport> MemoryReader::Read(Location at, std::span<std::byte> out) {
  ReadReport report;
  KCD_TRY(impl_->reader->Read(at, out, report));
  return report;
}

Memory::Memory(std::shared_ptr<const MemoryImpl> impl) : impl_(std::move(impl)) {}
Memory::Memory(Memory&&) noexcept = default;
Memory& Memory::operator=(Memory&&) noexcept = default;
Memory::~Memory() = default;

Result<Memory> Memory::Open(const std::string& path) {
  auto impl = std::make_shared<MemoryImpl>();
  KCD_ASSIGN(impl->source, OpenSource(path));
  return Memory(std::move(impl));
}

std::vector<std::string> Memory::Caveats() const { return impl_->source->Caveats(); }

Result<MemoryReader> Memory::NewReader(const ReadOptions& options) const {
  auto impl = std::make_unique<MemoryReaderImpl>();
  impl->memory = impl_;
  KCD_ASSIGN(impl->reader, RangeReader::Create(*impl_->source, options));
  return MemoryReader(std::move(impl));
}

}  // namespace kcoredump
