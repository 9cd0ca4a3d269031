// SPDX-License-Identifier: MIT
#include "abi/handles.h"

#include <cerrno>
#include <cstdlib>

namespace kcoredump::abi {

int StatusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNotFound:
      return KCD_E_NOT_FOUND;
    case ErrorCode::kPermission:
      return KCD_E_PERMISSION;
    case ErrorCode::kCorrupt:
      return KCD_E_CORRUPT;
    case ErrorCode::kUnsupported:
      return KCD_E_UNSUPPORTED;
    case ErrorCode::kInvalidArgument:
      return KCD_E_INVALID;
    case ErrorCode::kIo:
      return KCD_E_IO;
    case ErrorCode::kUnreadable:
      return KCD_E_UNREADABLE;
    case ErrorCode::kLimitExceeded:
      return KCD_E_LIMIT;
    case ErrorCode::kCancelled:
      return KCD_E_CANCELLED;
  }
  return KCD_E_IO;
}

namespace {

int FillError(kcd_error* out, int code, int system_errno, uint64_t address, const char* message) {
  // A size that this struct never had is the caller's slip: its error must not be ours, too.
  if (out == nullptr || out->size < kFirstBytes<kcd_error>) return code;
  out->code = code;
  out->system_errno = system_errno;
  out->address = address;
  const size_t length = std::min(std::strlen(message), sizeof(out->message) - 1);
  std::memcpy(out->message, message, length);
  out->message[length] = '\0';
  return code;
}

}  // namespace

int Report(const Error& error, kcd_error* out) {
  return FillError(out, StatusOf(error.code), error.system_errno, error.address,
                   error.message.c_str());
}

int ReportNoMemory(kcd_error* out) {
  return FillError(out, KCD_E_NOMEM, ENOMEM, 0, "no memory for the answer");
}

std::string Lines(const std::vector<std::string>& texts) {
  std::string lines;
  for (const std::string& text : texts) lines += text + "\n";
  return lines;
}

char* CopyText(const std::string& text) {
  char* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy == nullptr) throw std::bad_alloc();
  std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

}  // namespace kcoredump::abi
