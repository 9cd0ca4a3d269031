// SPDX-License-Identifier: MIT
//
// SHA256() itself looks for a provider, which draws all of libcrypto into a static program; the
// calls below take its assembly alone, which uses the CPU's SHA instructions where there are some.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/hash256.h"

#include <openssl/sha.h>

namespace kcoredump {

std::string ToHex(const Hash256& hash) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * hash.size());
  for (const std::byte byte : hash) {
    text += kDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

Hash256 Sha256(std::span<const std::byte> bytes) {
  SHA256_CTX context;
  Hash256 hash{};
  SHA256_Init(&context);
  SHA256_Update(&context, bytes.data(), bytes.size());
  SHA256_Final(reinterpret_cast<unsigned char*>(hash.data()), &context);
  return hash;
}

}  // namespace kcoredump
