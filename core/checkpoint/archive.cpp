#include "core/checkpoint/archive.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/checkpoint/formats.h"

namespace xp::checkpoint {
namespace {

struct DtypeRow {
  Dtype dtype;
  size_t size;
  std::string_view name;
};

constexpr std::array<DtypeRow, 12> kDtypes{{{Dtype::kF32, 4, "F32"},
                                            {Dtype::kF64, 8, "F64"},
                                            {Dtype::kF16, 2, "F16"},
                                            {Dtype::kBf16, 2, "BF16"},
                                            {Dtype::kI64, 8, "I64"},
                                            {Dtype::kI32, 4, "I32"},
                                            {Dtype::kI16, 2, "I16"},
                                            {Dtype::kI8, 1, "I8"},
                                            {Dtype::kU8, 1, "U8"},
                                            {Dtype::kBool, 1, "BOOL"},
                                            {Dtype::kC64, 8, "C64"},
                                            {Dtype::kC128, 16, "C128"}}};

const DtypeRow& row(Dtype dtype) {
  for (const DtypeRow& r : kDtypes) {
    if (r.dtype == dtype) return r;
  }
  XP_CHECK(false, "dtype without a row");
  return kDtypes[0];
}

}  // namespace

bool looks_like_weights(std::span<const std::byte> head) {
  return looks_like_zip(head) || looks_like_legacy_torch(head) || looks_like_safetensors(head);
}

size_t element_size(Dtype dtype) { return row(dtype).size; }
std::string_view dtype_name(Dtype dtype) { return row(dtype).name; }

int64_t Entry::numel() const {
  int64_t n = 1;
  for (const int64_t size : shape) n *= size;
  return n;
}

void refuse(const std::filesystem::path& file, const std::string& reason) {
  throw Error(Place{file.string()}, printable(reason), Exit::kData);
}

std::optional<int64_t> byte_count(const std::vector<int64_t>& shape, Dtype dtype) {
  constexpr int64_t kMost = int64_t{1} << 62;
  auto bytes = static_cast<int64_t>(element_size(dtype));
  bool empty = false;
  for (const int64_t size : shape) {
    if (size < 0) return std::nullopt;
    if (size == 0) {
      empty = true;
      continue;
    }
    if (size >= kMost / bytes) return std::nullopt;
    bytes *= size;
  }
  return empty ? 0 : bytes;
}

Archive Archive::open(const std::filesystem::path& file, const Limits& limits) {
  if (is_index(file)) return read_shards(file, limits);
  if (std::filesystem::is_directory(file)) {
    if (const auto inside = checkpoint_in(file)) return open(*inside, limits);
    refuse(file,
           "a folder without a checkpoint: neither model.safetensors, pytorch_model.bin nor "
           "an index of shards is in it");
  }
  return read_any(file, MappedFile::open(file), limits);
}

Archive read_any(const std::filesystem::path& file, const MappedFile& mapped,
                 const Limits& limits) {
  if (looks_like_zip(mapped.bytes)) return read_torch_zip(file, mapped, limits);
  if (looks_like_legacy_torch(mapped.bytes)) return read_torch_legacy(file, mapped, limits);
  if (looks_like_safetensors(mapped.bytes)) return read_safetensors(file, mapped, limits);
  if (mapped.bytes.empty()) refuse(file, "the file is empty");
  const std::string_view head(reinterpret_cast<const char*>(mapped.bytes.data()),
                              std::min<size_t>(64, mapped.bytes.size()));
  if (head.find("<html") != head.npos || head.find("<!DOCTYPE") != head.npos) {
    refuse(file, "this is a web page, not a checkpoint; the download was redirected to a page");
  }
  refuse(file, "neither a .pt/.pth file of torch.save nor a .safetensors file");
}

const Entry* Archive::find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &entries_[found->second];
}

void Archive::add(Entry entry) {
  const auto bytes = byte_count(entry.shape, entry.dtype);
  if (!bytes || static_cast<size_t>(*bytes) != entry.bytes.size()) {
    throw Error("tensor '" + printable(entry.name) + "' has " + std::to_string(entry.bytes.size()) +
                    " bytes, its shape says otherwise",
                Exit::kData);
  }
  if (!index_.emplace(entry.name, entries_.size()).second) {
    throw Error("two tensors are named '" + printable(entry.name) + "'", Exit::kData);
  }
  entries_.push_back(std::move(entry));
}

void Archive::add(std::string name, Dtype dtype, std::vector<int64_t> shape,
                  std::span<const std::byte> bytes) {
  auto copy = std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
  Entry entry;
  entry.name = std::move(name);
  entry.dtype = dtype;
  entry.shape = std::move(shape);
  entry.bytes = *copy;
  entry.owner = std::move(copy);
  add(std::move(entry));
}

OutputFile::OutputFile(const std::filesystem::path& file)
    : final_(file), file_(file), out_(file_.path(), std::ios::binary | std::ios::trunc) {
  if (!out_) fail();
}

void OutputFile::write(const void* bytes, size_t size) {
  out_.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
  if (!out_) fail();
  position_ += size;
}

void OutputFile::commit() {
  out_.close();
  if (!out_) fail();
  file_.commit();
}

void OutputFile::fail() const {
  throw Error("cannot write " + final_.string() + ": " + std::strerror(errno), Exit::kFailed);
}

}  // namespace xp::checkpoint
