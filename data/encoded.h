#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <sys/stat.h>

namespace xp::data {

/// The bytes of an encoded sound: in memory, or read from a file as they are asked for.
class Encoded {
 public:
  Encoded() = default;
  virtual ~Encoded() = default;
  Encoded(const Encoded&) = delete;
  Encoded& operator=(const Encoded&) = delete;

  virtual size_t size() const = 0;
  /// The bytes from `at` on into `out`; how many there were: fewer at the end.
  virtual size_t read(size_t at, std::span<std::byte> out) = 0;
};

class EncodedMemory final : public Encoded {
 public:
  /// Keeps no copy.
  explicit EncodedMemory(std::span<const std::byte> bytes) : bytes_(bytes) {}

  size_t size() const override { return bytes_.size(); }
  size_t read(size_t at, std::span<std::byte> out) override;

 private:
  std::span<const std::byte> bytes_;
};

/// A regular file of up to 4 GB that stays open. Short stretches are read through a small buffer.
class EncodedFile final : public Encoded {
 public:
  /// A file that cannot be read leaves `problem`, and no bytes.
  explicit EncodedFile(const std::string& file);
  ~EncodedFile() override;

  /// Why the file, or some of it, could not be read; empty = it could.
  const std::string& problem() const { return problem_; }
  /// What fstat said when it was opened.
  const struct stat& opened() const { return info_; }
  /// What fstat says now; false where it says nothing.
  bool look(struct stat& now) const;

  size_t size() const override { return size_; }
  size_t read(size_t at, std::span<std::byte> out) override;

 private:
  size_t fetch(size_t at, std::span<std::byte> out);

  int fd_ = -1;
  struct stat info_ {};
  size_t size_ = 0;
  std::string problem_;
  std::vector<std::byte> buffer_;  ///< the stretch of the file from buffer_at_ on
  size_t buffer_at_ = 0;
};

}  // namespace xp::data
