// SPDX-License-Identifier: MIT
#include "inspect/boot_identity.h"

#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxBannerTextBytes = 512;

/// An image without symbols is not what was asked for and is missing.
Result<uint64_t> NeedSymbol(Session& session, const char* name) {
  auto address = session.SymbolAddress(name);
  if (address.ok()) return address;
  Error error = std::move(address.error()).WithContext("which kernel an image is of is not known");
  if (error.code == ErrorCode::kNotFound) error.code = ErrorCode::kUnsupported;
  return error;
}

Result<uint64_t> TextBytes(Session& session) {
  KCD_ASSIGN(const uint64_t start, NeedSymbol(session, "_stext"));
  KCD_ASSIGN(const uint64_t end, NeedSymbol(session, "_etext"));
  return end - start;
}

/// Nothing: this kernel has none.
Result<std::optional<uint64_t>> CanaryOf(Session& session) {
  KCD_ASSIGN(const TypeCatalog* types, session.NeedTypes());
  const auto member = types->Member("struct task_struct", "stack_canary");
  if (!member.ok()) return std::optional<uint64_t>();
  KCD_ASSIGN(const uint64_t task, NeedSymbol(session, "init_task"));
  KCD_ASSIGN(const uint64_t canary,
             session.kernel().ReadValue<uint64_t>(task + member.value().offset()));
  return std::optional(canary);
}

}  // namespace

Result<std::string> BannerOf(Session& session) {
  KCD_ASSIGN(const uint64_t at, NeedSymbol(session, "linux_banner"));
  KCD_ASSIGN(const std::string text, session.kernel().ReadString(at, kMaxBannerTextBytes));
  return std::string(TrimmedRight(text));
}

Status CheckSameBuild(Session& one, Session& other) {
  KCD_ASSIGN(const std::string banner, BannerOf(one));
  KCD_ASSIGN(const std::string other_banner, BannerOf(other));
  KCD_ASSIGN(const uint64_t bytes, TextBytes(one));
  KCD_ASSIGN(const uint64_t other_bytes, TextBytes(other));
  if (banner == other_banner && bytes == other_bytes) return {};
  return MakeError(ErrorCode::kUnsupported,
                   "not the same kernel: \"" + banner + "\" and \"" + other_banner + "\"");
}

Result<bool> IsSameBoot(Session& one, Session& other) {
  KCD_ASSIGN(const uint64_t start, NeedSymbol(one, "_stext"));
  KCD_ASSIGN(const uint64_t other_start, NeedSymbol(other, "_stext"));
  if (start != other_start) return false;
  KCD_ASSIGN(const auto canary, CanaryOf(one));
  KCD_ASSIGN(const auto other_canary, CanaryOf(other));
  return canary == other_canary;
}

}  // namespace kcoredump
