// Writes what torch.load(weights_only=True) reads: protocol 2, torch._utils._rebuild_tensor_v2 over
// storages by persistent id, collections.OrderedDict. Storages are not shared between tensors.
#include <bit>
#include <map>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/checkpoint/zip.h"

namespace xp::checkpoint {
namespace {

using nlohmann::json;

std::string_view storage_class(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
      return "FloatStorage";
    case Dtype::kF64:
      return "DoubleStorage";
    case Dtype::kF16:
      return "HalfStorage";
    case Dtype::kBf16:
      return "BFloat16Storage";
    case Dtype::kI64:
      return "LongStorage";
    case Dtype::kI32:
      return "IntStorage";
    case Dtype::kI16:
      return "ShortStorage";
    case Dtype::kI8:
      return "CharStorage";
    case Dtype::kU8:
      return "ByteStorage";
    case Dtype::kBool:
      return "BoolStorage";
    case Dtype::kC64:
      return "ComplexFloatStorage";
    case Dtype::kC128:
      return "ComplexDoubleStorage";
  }
  return "";
}

class PickleWriter {
 public:
  PickleWriter() : out_("\x80\x02") {}

  std::string finish() { return std::move(out_) + "."; }

  void text(std::string_view value) {
    out_ += 'X';
    raw(static_cast<uint32_t>(value.size()));
    out_ += value;
  }
  void integer(int64_t value) {
    if (value >= INT32_MIN && value <= INT32_MAX) {
      out_ += 'J';
      raw(static_cast<int32_t>(value));
    } else {
      out_ += "\x8a\x08";
      raw(value);
    }
  }
  void real(double value) {
    const auto bits = std::bit_cast<uint64_t>(value);
    out_ += 'G';
    for (int shift = 56; shift >= 0; shift -= 8)
      out_ += static_cast<char>(bits >> static_cast<unsigned>(shift));
  }
  void integers(const std::vector<int64_t>& values) {
    out_ += '(';
    for (const int64_t value : values) integer(value);
    out_ += 't';
  }
  void global(std::string_view module, std::string_view name) {
    out_ += 'c';
    out_ += module;
    out_ += '\n';
    out_ += name;
    out_ += '\n';
  }
  void value(const json& v) {
    if (v.is_boolean()) {
      out_ += v.get<bool>() ? '\x88' : '\x89';
    } else if (v.is_number_integer()) {
      integer(v.get<int64_t>());
    } else if (v.is_number()) {
      real(v.get<double>());
    } else if (v.is_string()) {
      text(v.get<std::string>());
    } else if (v.is_array()) {
      out_ += "](";
      for (const json& item : v) value(item);
      out_ += 'e';
    } else if (v.is_object()) {
      out_ += "}(";
      for (const auto& [key, item] : v.items()) {
        text(key);
        value(item);
      }
      out_ += 'u';
    } else {
      out_ += 'N';
    }
  }
  void tensor(const Entry& e, const std::string& key) {
    std::vector<int64_t> strides(e.shape.size());
    int64_t step = 1;
    for (size_t i = e.shape.size(); i-- > 0;) {
      strides[i] = step;
      step *= std::max<int64_t>(e.shape[i], 1);
    }
    global("torch._utils", "_rebuild_tensor_v2");
    out_ += "((";
    text("storage");
    global("torch", storage_class(e.dtype));
    text(key);
    text("cpu");
    integer(e.numel());
    out_ += "tQ";
    integer(0);
    integers(e.shape);
    integers(strides);
    out_ += '\x89';
    open_dict();
    out_ += "tR";
  }
  /// An empty OrderedDict on the stack.
  void open_dict() {
    global("collections", "OrderedDict");
    out_ += ")R";
  }
  void mark() { out_ += '('; }
  void set_items() { out_ += 'u'; }

 private:
  template <class T>
  void raw(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  std::string out_;
};

/// Dotted keys become nested objects; texts that are JSON numbers, lists, true, false or null
/// become those.
json nested(const std::map<std::string, std::string>& metadata) {
  json tree = json::object();
  for (const auto& [key, text] : metadata) {
    json* at = &tree;
    size_t begin = 0;
    for (size_t dot = key.find('.'); dot != key.npos; dot = key.find('.', begin)) {
      at = &(*at)[key.substr(begin, dot - begin)];
      if (!at->is_object()) *at = json::object();
      begin = dot + 1;
    }
    json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (value.is_discarded() || value.is_object() || value.is_string()) value = text;
    if (!at->is_object()) *at = json::object();
    (*at)[key.substr(begin)] = std::move(value);
  }
  return tree;
}

}  // namespace

void Archive::write_torch(const std::filesystem::path& file, std::string_view wrapper) const {
  PickleWriter pickle;
  if (!wrapper.empty()) {
    pickle.open_dict();
    pickle.mark();
    pickle.text(wrapper);
  }
  pickle.open_dict();
  if (!entries_.empty()) {
    pickle.mark();
    for (size_t i = 0; i < entries_.size(); ++i) {
      pickle.text(entries_[i].name);
      pickle.tensor(entries_[i], std::to_string(i));
    }
    pickle.set_items();
  }
  if (!wrapper.empty()) {
    const json tree = nested(metadata_);
    for (const auto& [key, value] : tree.items()) {
      pickle.text(key);
      pickle.value(value);
    }
    pickle.set_items();
  }
  OutputFile out(file);
  ZipWriter zip(out);
  const std::string prefix = "archive/";
  zip.add(prefix + "data.pkl", pickle.finish());
  zip.add(prefix + "byteorder", "little");
  for (size_t i = 0; i < entries_.size(); ++i)
    zip.add(prefix + "data/" + std::to_string(i), entries_[i].bytes);
  zip.add(prefix + "version", "3\n");
  zip.finish();
  out.commit();
}

}  // namespace xp::checkpoint
