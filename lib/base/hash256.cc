// SPDX-License-Identifier: MIT
//
// SHA256() itself looks for a provider, which draws all of libcrypto into a static program; the
// calls below take its assembly alone, which uses the CPU's SHA instructions where there are some.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/hash256.h"

#include <openssl/sha.h>

namespace kcoredump {

Hash256 Sha256(std::span<const std::byte> bytes) {
  SHA256_CTX context;
  Hash256 hash{};
  SHA256_Init(&context);
  SHA256_Update(&context, bytes.data(), bytes.size());
  SHA256_Final(reinterpret_cast<unsigned char*>(hash.data()), &context);
  return hash;
}

}  // namespace kcoredump
