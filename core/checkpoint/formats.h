#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/files.h"
#include "core/checkpoint/archive.h"
#include "core/checkpoint/mapped_file.h"

/// The readers and writers behind Archive: for core/checkpoint itself.
namespace xp::checkpoint {

/// Throws Error (kData) with the file's name in front; the reason may hold names out of the file.
[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& reason);

/// Product of `shape` times the element size; nullopt when a size is negative or it is 2^62 or
/// more.
std::optional<int64_t> byte_count(const std::vector<int64_t>& shape, Dtype dtype);

/// Archive::open on bytes that are in memory already; `file` names them in messages.
Archive read_any(const std::filesystem::path& file, const MappedFile& mapped, const Limits& limits);

/// Whether a file is, by its name, the index of a state dict in several files.
bool is_index(const std::filesystem::path& file);
/// The tensors of all shards, each of which is read as Archive::open reads a file. Throws Error
/// (kData) naming the shard or the tensor that is missing, or that the index does not know.
Archive read_shards(const std::filesystem::path& index, const Limits& limits);

bool looks_like_safetensors(std::span<const std::byte> bytes);
bool looks_like_zip(std::span<const std::byte> bytes);
bool looks_like_legacy_torch(std::span<const std::byte> bytes);

Archive read_safetensors(const std::filesystem::path& file, const MappedFile& mapped,
                         const Limits& limits);
Archive read_torch_zip(const std::filesystem::path& file, const MappedFile& mapped,
                       const Limits& limits);
Archive read_torch_legacy(const std::filesystem::path& file, const MappedFile& mapped,
                          const Limits& limits);

/// A file written beside its final place and renamed at the end. Every failure is an Error
/// (kFailed).
class OutputFile {
 public:
  explicit OutputFile(const std::filesystem::path& file);
  void write(const void* bytes, size_t size);
  void write(std::string_view text) { write(text.data(), text.size()); }
  uint64_t position() const { return position_; }
  void commit();

 private:
  [[noreturn]] void fail() const;

  std::filesystem::path final_;
  AtomicFile file_;
  std::ofstream out_;
  uint64_t position_ = 0;
};

}  // namespace xp::checkpoint
