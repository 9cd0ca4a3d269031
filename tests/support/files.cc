// SPDX-License-Identifier: MIT
#include "support/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace kcoredump::test {

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "kcoredump-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::vector<std::string> TempDir::List() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path_)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

MemoryFile::MemoryFile(std::span<const std::byte> content)
    : fd_(memfd_create("kcoredump-test", MFD_CLOEXEC)) {
  if (!fd_.valid()) throw std::runtime_error("memfd_create failed");
  Set(content);
}

void MemoryFile::Set(std::span<const std::byte> content) {
  Truncate(0);
  Write(0, content);
}

void MemoryFile::Write(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count <= 0) throw std::runtime_error("pwrite failed");
    offset += static_cast<uint64_t>(count);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void MemoryFile::Truncate(uint64_t bytes) {
  if (ftruncate(fd_.get(), static_cast<off_t>(bytes)) != 0) {
    throw std::runtime_error("ftruncate failed");
  }
}

std::string MemoryFile::path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }

UniqueFd MemoryFile::Open() const { return UniqueFd(open(path().c_str(), O_RDONLY | O_CLOEXEC)); }

void WriteFile(const std::string& path, std::span<const std::byte> content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(content.data()),
             static_cast<std::streamsize>(content.size()));
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path);
}

Bytes ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return ToBytes(text);
}

CommandResult RunCommand(const std::string& command) {
  CommandResult result;
  FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return result;
  std::array<char, 65536> buffer{};
  while (const size_t count = fread(buffer.data(), 1, buffer.size(), pipe)) {
    const auto bytes = std::as_bytes(std::span(buffer).first(count));
    result.output.insert(result.output.end(), bytes.begin(), bytes.end());
  }
  const int status = pclose(pipe);
  if (WIFEXITED(status)) result.status = WEXITSTATUS(status);
  return result;
}

bool HaveCommand(const std::string& name) {
  return RunCommand("command -v " + name + " 2>/dev/null").status == 0;
}

}  // namespace kcoredump::test
