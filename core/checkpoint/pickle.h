#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/archive.h"

/// A machine for the subset of Python's pickle protocols 2 to 5 that torch.save needs to describe
/// data. It has no way to call anything: a global is a pair of names, and REDUCE on one that it
/// does not know makes an opaque value. Values live in one array and refer to each other by index,
/// so cycles cannot leak and no destructor recurses, and each opcode costs memory proportional to
/// the bytes it took, but for the copies counted against Limits::values.
namespace xp::checkpoint {

enum class Kind : uint8_t {
  kNone,
  kBool,     ///< integer
  kInt,      ///< integer
  kFloat,    ///< real
  kText,     ///< text: UTF-8, or bytes, or a whole number beyond 64 bits as its bytes
  kList,     ///< items; also tuples and sets
  kDict,     ///< items: key, value, key, value, ...
  kStorage,  ///< integer: index into storages
  kTensor,   ///< integer: index into tensors
  kGlobal,   ///< text (module), name
  kObject    ///< text (module), name: an instance or call result that stays unknown
};

struct Value {
  Kind kind = Kind::kNone;
  int64_t integer = 0;
  double real = 0;
  std::string_view text;  ///< into the pickle's bytes
  std::string_view name;
  std::vector<uint32_t> items;
};

/// A storage by key: `count` elements of `dtype`, `begin` elements into the stored block (views of
/// the old format; else 0).
struct StorageSpec {
  std::string_view key;
  Dtype dtype = Dtype::kF32;
  int64_t begin = 0;
  int64_t count = 0;
  int64_t block_count = 0;  ///< elements of the whole block
};

/// A tensor as torch describes it: `offset` and `strides` count elements of the storage.
struct TensorSpec {
  uint32_t storage = 0;
  Dtype dtype = Dtype::kF32;  ///< the storage's, unless that is untyped
  int64_t offset = 0;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
};

struct Pickle {
  std::vector<Value> values;
  std::vector<StorageSpec> storages;
  std::vector<TensorSpec> tensors;
  uint32_t root = 0;
  size_t size = 0;  ///< bytes read, the STOP included
};

/// Reads one pickle from the front of `bytes`, which must outlive the result. Throws Error (kData)
/// naming `file` when it is damaged, uses an opcode outside the subset, goes beyond `limits`, or
/// names a callable that acts on the system.
Pickle read_pickle(const std::filesystem::path& file, std::span<const std::byte> bytes,
                   const Limits& limits);

}  // namespace xp::checkpoint
