#include "core/base/digest.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include <fmt/format.h>
#include <openssl/evp.h>
#ifdef XP_XXHASH_DISPATCHES
#define XXH_DISPATCH_DISABLE_REPLACE
#include <xxh_x86dispatch.h>
#else
#define XXH_INLINE_ALL
#include <xxhash.h>
#endif

#include "core/base/error.h"
#include "core/base/files.h"

namespace xp {

struct Digest::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() { EVP_DigestInit_ex(context, EVP_sha256(), nullptr); }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Digest::Digest() : state_(std::make_unique<State>()) {}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

Digest& Digest::add(std::span<const std::byte> bytes) {
  EVP_DigestUpdate(state_->context, bytes.data(), bytes.size());
  return *this;
}

Digest& Digest::add(std::string_view text) { return add(std::as_bytes(std::span(text))); }

Digest& Digest::add_field(std::string_view text) {
  const auto length = static_cast<uint64_t>(text.size());
  add(std::as_bytes(std::span(&length, 1)));
  return add(text);
}

std::string Digest::hex() {
  std::array<unsigned char, 32> raw{};
  EVP_DigestFinal_ex(state_->context, raw.data(), nullptr);
  std::string out;
  out.reserve(64);
  for (const unsigned char byte : raw) out += fmt::format("{:02x}", byte);
  return out;
}

std::string sha256(std::string_view text) { return Digest().add(text).hex(); }

std::string sha256_file(const std::filesystem::path& file) {
  require_regular_file(file);
  std::unique_ptr<FILE, int (*)(FILE*)> in(std::fopen(file.c_str(), "rb"), &std::fclose);
  if (!in)
    throw Error(fmt::format("cannot read {}: {}", file.string(), std::strerror(errno)),
                Exit::kData);
  Digest digest;
  std::vector<std::byte> block(1 << 20);
  size_t got = 0;
  while ((got = std::fread(block.data(), 1, block.size(), in.get())) > 0) {
    digest.add(std::span(block.data(), got));
  }
  if (std::ferror(in.get()) != 0) {
    throw Error(fmt::format("cannot read {}: {}", file.string(), std::strerror(errno)),
                Exit::kData);
  }
  return digest.hex();
}

uint64_t checksum64(std::span<const std::byte> bytes) {
#ifdef XP_XXHASH_DISPATCHES
  return XXH3_64bits_dispatch(bytes.data(), bytes.size());
#else
  return XXH3_64bits(bytes.data(), bytes.size());
#endif
}

struct Checksum64::State {
  XXH3_state_t* xxh = XXH3_createState();
  State() { XXH3_64bits_reset(xxh); }
  ~State() { XXH3_freeState(xxh); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Checksum64::Checksum64() : state_(std::make_unique<State>()) {}
Checksum64::~Checksum64() = default;

Checksum64& Checksum64::add(std::span<const std::byte> bytes) {
#ifdef XP_XXHASH_DISPATCHES
  XXH3_64bits_update_dispatch(state_->xxh, bytes.data(), bytes.size());
#else
  XXH3_64bits_update(state_->xxh, bytes.data(), bytes.size());
#endif
  return *this;
}

uint64_t Checksum64::value() const { return XXH3_64bits_digest(state_->xxh); }

}  // namespace xp
