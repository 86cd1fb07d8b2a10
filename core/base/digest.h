#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace xp {

/// SHA-256, fed in pieces. The identity of every stage, recipe and artifact.
class Digest {
 public:
  Digest();
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;

  Digest& add(std::span<const std::byte> bytes);
  Digest& add(std::string_view text);
  /// The text with its length in front, so that ("ab","c") and ("a","bc") differ.
  Digest& add_field(std::string_view text);
  /// 64 hex digits. The digest cannot be fed after this.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// SHA-256 of a text, as 64 hex digits.
std::string sha256(std::string_view text);

/// SHA-256 of a file's bytes, read in blocks. Throws Error (kData) when it cannot be read.
std::string sha256_file(const std::filesystem::path& file);

/// XXH3-64 of a block: the per-clip checksum of shards; fast, not cryptographic.
uint64_t checksum64(std::span<const std::byte> bytes);

/// The same of bytes that come piece by piece.
class Checksum64 {
 public:
  Checksum64();
  ~Checksum64();
  Checksum64(const Checksum64&) = delete;
  Checksum64& operator=(const Checksum64&) = delete;
  Checksum64& add(std::span<const std::byte> bytes);
  uint64_t value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace xp
