#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/printable.h"

namespace xp::checkpoint {

/// Element types of stored tensors, little-endian, as in memory.
enum class Dtype : uint8_t {
  kF32,
  kF64,
  kF16,
  kBf16,
  kI64,
  kI32,
  kI16,
  kI8,
  kU8,
  kBool,
  kC64,
  kC128
};

/// Bytes of one element: 1, 2, 4, 8 or 16.
size_t element_size(Dtype dtype);
/// The name in a safetensors header: "F32", "BF16", "BOOL", ...
std::string_view dtype_name(Dtype dtype);

using xp::printable;

/// Whether a file that begins with these bytes (64 are enough) may be one that Archive::open reads.
bool looks_like_weights(std::span<const std::byte> head);

/// One tensor: its values in row-major order. `bytes` may be unaligned (it can point into a mapped
/// file), so copy it before reading it as numbers; it lives as long as `owner`.
struct Entry {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;

  /// Product of `shape`; 1 for a scalar.
  int64_t numel() const;
};

/// What a file may ask of the reader. A file beyond a limit is refused with an Error (kData);
/// nothing is allocated on a number that the file states before that number has been checked.
struct Limits {
  int64_t depth = 64;           ///< nesting of dicts and lists
  int64_t values = 5'000'000;   ///< pickled values, counted with repetition
  int64_t tensors = 1'000'000;  ///< tensors in the file
  int64_t rank = 64;            ///< dimensions of one tensor
  double expansion = 8;         ///< bytes made (unpacked, strides resolved) per byte of the file
  int64_t spare_bytes = 64LL << 20;  ///< and that much on top
  bool checksums = true;  ///< members of a zip container are compared with their CRC-32; false
                          ///< shows the readers behind it what a damaged file holds
};

/// The file that a folder with one checkpoint means, as transformers and exp lay it out:
/// model.safetensors, pytorch_model.bin, or the index of their shards, else the only index there.
/// nullopt when it holds none of these.
std::optional<std::filesystem::path> checkpoint_in(const std::filesystem::path& folder);

/// Named tensors in the order of the file, with what else the file says: the one form in which
/// checkpoints of any format are read and written. Values are immutable; copies share them.
///
/// Names in nested dicts and lists are joined with '.': {"model": {"fc.weight": t}} holds
/// "model.fc.weight". No name is changed otherwise; wrapper levels and prefixes are the importer's
/// business.
class Archive {
 public:
  /// Reads .pt/.pth (zip container, and the older format of torch < 1.6) or .safetensors, told
  /// apart by content, or the index of a state dict in several such files (".index.json", whose
  /// weight_map names the shard of each tensor). Tensors of uncompressed files are views into the
  /// mapped file. Pickles are
  /// read by a machine that knows data, dicts, lists and tensors: anything else stays an opaque
  /// name, nothing is ever called, and a file that names a module which acts on the system (os,
  /// subprocess, builtins.eval, ...) is refused. Throws Error (kData) naming the file and the
  /// reason.
  static Archive open(const std::filesystem::path& file, const Limits& limits = {});

  const std::vector<Entry>& entries() const { return entries_; }
  /// nullptr when absent.
  const Entry* find(std::string_view name) const;
  /// Scalars and strings beside the tensors by their joined name; numbers, true, false and null as
  /// JSON has them, strings as they are. Of a safetensors file its `__metadata__`.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Values that are no data: joined name -> class, e.g. "args" -> "argparse.Namespace".
  const std::map<std::string, std::string>& opaque() const { return opaque_; }
  /// "safetensors", "torch zip", "torch legacy", or "" when built in memory.
  std::string_view format() const { return format_; }

  /// Appends. Throws Error (kData) when the name is taken or `bytes` is not numel * element_size
  /// long.
  void add(Entry entry);
  /// Appends a copy of the values.
  void add(std::string name, Dtype dtype, std::vector<int64_t> shape,
           std::span<const std::byte> bytes);
  void set_metadata(std::string key, std::string value) {
    metadata_[std::move(key)] = std::move(value);
  }
  void set_opaque(std::string key, std::string type) { opaque_[std::move(key)] = std::move(type); }
  void set_format(std::string_view format) { format_ = format; }

  /// Writes the file atomically (old or new content after a crash, never half). Tensors are ordered
  /// by element size, largest first, and by insertion within a size, so that all are aligned
  /// without holes, as the format demands. Metadata must be UTF-8. Throws Error (kFailed).
  void write_safetensors(const std::filesystem::path& file) const;

  /// Writes a zip container that `torch.load(file, weights_only=True)` reads: a dict of tensors by
  /// name in the order of this archive (`wrapper` "" ), or {wrapper: that dict, then each metadata
  /// pair as a string, a number, true, false or null; dotted keys make nested dicts}. Atomic as
  /// above. Throws Error (kFailed).
  void write_torch(const std::filesystem::path& file, std::string_view wrapper = "") const;

 private:
  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> index_;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, std::string> opaque_;
  std::string_view format_;
};

}  // namespace xp::checkpoint
