// Files of torch.save. Zip: PREFIX/data.pkl describes the object, PREFIX/data/KEY are the storages.
// The older format: five pickles in a row (magic number, protocol version, machine, the object,
// storage keys), then each storage as int64 count and its values.
#include <algorithm>
#include <charconv>
#include <cstring>
#include <functional>
#include <unordered_map>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/checkpoint/pickle.h"
#include "core/checkpoint/zip.h"

namespace xp::checkpoint {
namespace {

constexpr size_t kMostNameBytes = 4096;
constexpr std::string_view kMagic("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12);

int64_t budget_of(const MappedFile& mapped, const Limits& limits) {
  return static_cast<int64_t>(limits.expansion * static_cast<double>(mapped.bytes.size())) +
         limits.spare_bytes;
}

/// The raw bytes of a storage block, with who keeps them.
struct Block {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
};
using FindBlock = std::function<Block(std::string_view key)>;

/// Walks the described object and fills an Archive: tensors through `find_block`, scalars as
/// metadata.
class Flattener {
 public:
  Flattener(const std::filesystem::path& file, const Pickle& pickle, const Limits& limits,
            int64_t budget, FindBlock find_block)
      : file_(file),
        pickle_(pickle),
        limits_(limits),
        budget_(budget),
        find_block_(std::move(find_block)) {}

  Archive run(std::string_view format) {
    archive_.set_format(format);
    walk(pickle_.root, "", 0);
    if (archive_.entries().empty()) no_tensors();
    return std::move(archive_);
  }

 private:
  [[noreturn]] void bad(const std::string& what) const {
    refuse(file_, "not a readable checkpoint: " + what);
  }

  [[noreturn]] void no_tensors() const {
    for (const auto& [name, type] : archive_.opaque()) {
      refuse(file_, "it holds no tensors but a pickled object of class " + type +
                        (name.empty() ? "" : " ('" + name + "')") +
                        "; save its state_dict() instead: torch.save(model.state_dict(), file)");
    }
    refuse(file_, "it holds no tensors");
  }

  static std::string join(const std::string& prefix, std::string_view name) {
    if (prefix.empty()) return std::string(name);
    return prefix + '.' + std::string(name);
  }

  void walk(uint32_t handle, const std::string& name, int64_t depth) {
    if (depth > limits_.depth) bad("it is nested too deeply, or in a circle");
    if (++visited_ > limits_.values) bad("it describes more values than the limit allows");
    if (name.size() > kMostNameBytes) bad("a name is longer than 4096 bytes");
    const Value& v = pickle_.values[handle];
    switch (v.kind) {
      case Kind::kDict:
        for (size_t i = 0; i + 1 < v.items.size(); i += 2) {
          if (const auto key = key_text(v.items[i]))
            walk(v.items[i + 1], join(name, *key), depth + 1);
        }
        return;
      case Kind::kList:
        if (const auto text = plain_list(v)) return set(name, *text);
        for (size_t i = 0; i < v.items.size(); ++i)
          walk(v.items[i], join(name, std::to_string(i)), depth + 1);
        return;
      case Kind::kTensor:
        return tensor(name, pickle_.tensors[static_cast<size_t>(v.integer)]);
      case Kind::kStorage:
        return opaque(name, "torch.Storage");
      case Kind::kGlobal:
      case Kind::kObject:
        return opaque(name, std::string(v.text) + "." + std::string(v.name));
      default:
        set(name, scalar_text(v));
    }
  }

  std::optional<std::string> key_text(uint32_t handle) const {
    const Value& key = pickle_.values[handle];
    if (key.kind == Kind::kText) return std::string(key.text.substr(0, kMostNameBytes + 1));
    if (key.kind == Kind::kInt || key.kind == Kind::kBool) return std::to_string(key.integer);
    return std::nullopt;
  }

  static std::string scalar_text(const Value& v) {
    switch (v.kind) {
      case Kind::kBool:
        return v.integer != 0 ? "true" : "false";
      case Kind::kInt:
        return std::to_string(v.integer);
      case Kind::kFloat:
        return nlohmann::json(v.real).dump();
      case Kind::kText:
        return std::string(v.text);
      default:
        return "null";
    }
  }

  /// A list of numbers as JSON; nullopt for other lists.
  std::optional<std::string> plain_list(const Value& list) {
    std::string text = "[";
    for (const uint32_t item : list.items) {
      const Value& v = pickle_.values[item];
      if (v.kind != Kind::kInt && v.kind != Kind::kFloat && v.kind != Kind::kBool)
        return std::nullopt;
      if (++visited_ > limits_.values) bad("it describes more values than the limit allows");
      if (text.size() > 1) text += ',';
      text += scalar_text(v);
    }
    return text + "]";
  }

  void spend(int64_t bytes) {
    if (bytes > budget_) bad("it unpacks to more bytes than a file of this size may");
    budget_ -= bytes;
  }

  void set(const std::string& name, std::string text) {
    spend(static_cast<int64_t>(name.size() + text.size()));
    archive_.set_metadata(name, std::move(text));
  }
  void opaque(const std::string& name, std::string type) {
    spend(static_cast<int64_t>(name.size() + type.size()));
    archive_.set_opaque(name, std::move(type));
  }

  void tensor(const std::string& name, const TensorSpec& spec) {
    const StorageSpec& storage = pickle_.storages[spec.storage];
    Entry entry;
    entry.name = name.empty() ? "tensor" : name;
    entry.dtype = spec.dtype;
    entry.shape = spec.shape;
    const auto bytes = byte_count(spec.shape, spec.dtype);
    if (!bytes) bad("tensor '" + entry.name + "' has an impossible shape");
    spend(static_cast<int64_t>(entry.name.size() + sizeof(Entry)));
    const auto size = static_cast<int64_t>(element_size(spec.dtype));
    // An untyped storage counts bytes, a typed one elements.
    const auto unit = static_cast<int64_t>(element_size(storage.dtype));
    if (storage.block_count >= (int64_t{1} << 58)) bad("a storage with impossible bounds");
    if (*bytes == 0) return archive_.add(std::move(entry));
    const Block block = find_block_(storage.key);
    if (static_cast<int64_t>(block.bytes.size()) < storage.block_count * unit) {
      bad("the values of '" + entry.name + "' are cut short");
    }
    const int64_t available = storage.count * unit / size;
    if (reach(spec) >= available) bad("tensor '" + entry.name + "' reaches beyond its storage");
    const auto stored = block.bytes.subspan(static_cast<size_t>(storage.begin * unit),
                                            static_cast<size_t>(available * size));
    if (is_contiguous(spec)) {
      entry.bytes =
          stored.subspan(static_cast<size_t>(spec.offset * size), static_cast<size_t>(*bytes));
      entry.owner = block.owner;
    } else {
      spend(*bytes);
      auto made = std::make_shared<std::vector<std::byte>>(
          gather(spec, stored, static_cast<size_t>(*bytes)));
      entry.bytes = *made;
      entry.owner = std::move(made);
    }
    archive_.add(std::move(entry));
  }

  /// Index of the last element that a tensor with at least one element touches; INT64_MAX when
  /// beyond reach.
  static int64_t reach(const TensorSpec& t) {
    int64_t last = t.offset;
    for (size_t i = 0; i < t.shape.size(); ++i) {
      if (t.shape[i] <= 1) continue;
      int64_t step = 0;
      if (t.strides[i] < 0 || __builtin_mul_overflow(t.shape[i] - 1, t.strides[i], &step) ||
          __builtin_add_overflow(last, step, &last)) {
        return INT64_MAX;
      }
    }
    return last;
  }

  static bool is_contiguous(const TensorSpec& t) {
    int64_t expected = 1;
    for (size_t i = t.shape.size(); i-- > 0;) {
      if (t.shape[i] != 1 && t.strides[i] != expected) return false;
      expected *= t.shape[i];
    }
    return true;
  }

  /// The elements in row-major order.
  static std::vector<std::byte> gather(const TensorSpec& t, std::span<const std::byte> stored,
                                       size_t bytes) {
    const size_t size = element_size(t.dtype);
    std::vector<std::byte> out(bytes);
    std::vector<int64_t> index(t.shape.size(), 0);
    int64_t from = t.offset;
    for (size_t to = 0; to < bytes; to += size) {
      std::memcpy(out.data() + to, stored.data() + static_cast<size_t>(from) * size, size);
      for (size_t d = t.shape.size(); d-- > 0;) {
        from += t.strides[d];
        if (++index[d] < t.shape[d]) break;
        from -= t.strides[d] * t.shape[d];
        index[d] = 0;
      }
    }
    return out;
  }

  const std::filesystem::path& file_;
  const Pickle& pickle_;
  const Limits& limits_;
  int64_t budget_;
  FindBlock find_block_;
  int64_t visited_ = 0;
  Archive archive_;
};

/// The member "PREFIX/data.pkl": its prefix with the slash.
std::string zip_prefix(const std::filesystem::path& file, const ZipReader& zip) {
  constexpr std::string_view kPickle = "data.pkl";
  bool script = false;
  std::string found;
  bool have = false;
  for (const std::string& name : zip.names()) {
    script = script || name.find("/code/") != name.npos;
    const auto slash = name.find('/');
    if (slash != name.npos && std::string_view(name).substr(slash + 1) == kPickle) {
      found = name.substr(0, slash + 1);
      have = true;
    }
  }
  if (have && script) {
    refuse(
        file,
        "this is a TorchScript program, not a checkpoint; save the module's state_dict() instead");
  }
  if (!have) refuse(file, "a zip file, but not one of torch.save");
  return found;
}

}  // namespace

bool looks_like_legacy_torch(std::span<const std::byte> bytes) {
  return bytes.size() > 2 + kMagic.size() && bytes[0] == std::byte{0x80} &&
         std::memcmp(bytes.data() + 2, kMagic.data(), kMagic.size()) == 0;
}

Archive read_torch_zip(const std::filesystem::path& file, const MappedFile& mapped,
                       const Limits& limits) {
  const ZipReader zip(file, mapped.bytes, limits.checksums);
  const std::string prefix = zip_prefix(file, zip);
  int64_t budget = budget_of(mapped, limits);
  if (zip.has(prefix + "byteorder")) {
    const ZipReader::Content content = zip.read(prefix + "byteorder", budget);
    const std::string_view order(reinterpret_cast<const char*>(content.bytes.data()),
                                 content.bytes.size());
    if (order != "little") {
      refuse(
          file,
          "it was written on a big-endian machine; load and save it again on a little-endian one");
    }
  }
  const ZipReader::Content described = zip.read(prefix + "data.pkl", budget);
  const Pickle pickle = read_pickle(file, described.bytes, limits);
  std::unordered_map<std::string, Block> blocks;
  int64_t unpack_budget = budget;
  const auto find_block = [&](std::string_view key) {
    const auto [at, is_new] = blocks.try_emplace(std::string(key));
    if (is_new) {
      const ZipReader::Content content =
          zip.read(prefix + "data/" + std::string(key), unpack_budget);
      at->second = {content.bytes, content.owner ? content.owner : mapped.owner};
    }
    return at->second;
  };
  return Flattener(file, pickle, limits, budget, find_block).run("torch zip");
}

Archive read_torch_legacy(const std::filesystem::path& file, const MappedFile& mapped,
                          const Limits& limits) {
  auto rest = mapped.bytes;
  const auto next = [&] {
    Pickle pickle = read_pickle(file, rest, limits);
    rest = rest.subspan(pickle.size);
    return pickle;
  };
  next();  // magic number
  next();  // protocol version
  next();  // sizes of the machine that wrote
  const Pickle pickle = next();
  const Pickle keys = next();

  std::unordered_map<std::string_view, size_t> unit;
  for (const StorageSpec& s : pickle.storages) unit[s.key] = element_size(s.dtype);
  std::unordered_map<std::string_view, Block> blocks;
  const Value& list = keys.values[keys.root];
  if (list.kind != Kind::kList)
    refuse(file, "not a readable checkpoint: the list of storages is missing");
  for (const uint32_t item : list.items) {
    const Value& key = keys.values[item];
    const auto known = unit.find(key.text);
    if (key.kind != Kind::kText || known == unit.end())
      refuse(file, "not a readable checkpoint: a storage that no tensor uses");
    int64_t count = 0;
    if (rest.size() < sizeof count) refuse(file, "the file is cut short");
    std::memcpy(&count, rest.data(), sizeof count);
    rest = rest.subspan(sizeof count);
    if (count < 0 || static_cast<uint64_t>(count) > rest.size() / known->second)
      refuse(file, "the file is cut short");
    const auto bytes = static_cast<size_t>(count) * known->second;
    blocks[key.text] = {rest.first(bytes), mapped.owner};
    rest = rest.subspan(bytes);
  }
  const auto find_block = [&](std::string_view key) {
    const auto found = blocks.find(key);
    if (found == blocks.end())
      refuse(file, "not a readable checkpoint: the values of a storage are missing");
    return found->second;
  };
  return Flattener(file, pickle, limits, budget_of(mapped, limits), find_block).run("torch legacy");
}

}  // namespace xp::checkpoint
