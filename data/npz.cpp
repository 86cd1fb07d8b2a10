#include "data/npz.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/checkpoint/mapped_file.h"
#include "core/checkpoint/pickle.h"
#include "core/checkpoint/zip.h"

namespace xp::data {
namespace {

constexpr int64_t kMostUnpacked = int64_t{1} << 30U;
constexpr int64_t kMostItems = int64_t{1} << 28U;

class Parser {
 public:
  Parser(std::string_view name, std::span<const std::byte> bytes)
      : name_(name), bytes_(reinterpret_cast<const char*>(bytes.data()), bytes.size()) {}

  NpyArray parse() {
    const std::string_view head = header();
    NpyArray out;
    out.shape = shape(value_of(head, "'shape'"));
    if (!value_of(head, "'fortran_order'").starts_with("False") && out.shape.size() > 1)
      fail("it is in Fortran's order");
    const std::string_view type = quoted(value_of(head, "'descr'"));
    const auto count = static_cast<size_t>(out.size());
    if (type.size() >= 2 && type[1] == 'O') {
      out.texts = pickled_texts(count);
    } else if (type.size() > 2 && (type[1] == 'U' || type[1] == 'S')) {
      read_texts(type, count, out.texts);
    } else {
      read_numbers(type, count, out.numbers);
    }
    return out;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(Place{std::string(name_)}, fmt::format("not a NumPy array as expected: {}", what),
                Exit::kData);
  }

  std::string_view take(size_t size) {
    if (size > bytes_.size()) fail("it is cut off");
    const std::string_view out = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return out;
  }

  template <class T>
  T number() {
    T out;
    std::memcpy(&out, take(sizeof out).data(), sizeof out);
    return out;
  }

  // The dictionary of dtype, order and shape; the data follows it.
  std::string_view header() {
    if (take(6) != "\x93NUMPY") fail("it does not begin as one");
    const auto major = static_cast<unsigned char>(take(2)[0]);
    if (major < 1 || major > 3) fail("its version is unknown");
    return take(major == 1 ? number<uint16_t>() : number<uint32_t>());
  }

  std::string_view value_of(std::string_view head, std::string_view key) const {
    const size_t at = head.find(key);
    if (at == std::string_view::npos) fail(fmt::format("no {} in its header", key));
    head.remove_prefix(at + key.size());
    head.remove_prefix(std::min(head.find_first_not_of(": "), head.size()));
    return head;
  }

  std::string_view quoted(std::string_view text) const {
    const size_t end =
        text.empty() || text[0] != '\'' ? std::string_view::npos : text.find('\'', 1);
    if (end == std::string_view::npos) fail("its dtype is not a simple one");
    return text.substr(1, end - 1);
  }

  std::vector<int64_t> shape(std::string_view text) const {
    const size_t end = text.find(')');
    if (!text.starts_with('(') || end == std::string_view::npos) fail("its shape is no tuple");
    text = text.substr(1, end - 1);
    std::vector<int64_t> out;
    int64_t items = 1;
    while (true) {
      text.remove_prefix(std::min(text.find_first_not_of(", "), text.size()));
      if (text.empty()) return out;
      int64_t n = 0;
      const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), n);
      if (error != std::errc() || n < 0 || n > kMostItems || out.size() == 8)
        fail("its shape is implausible");
      items *= n;
      if (items > kMostItems) fail("its shape is implausible");
      out.push_back(n);
      text.remove_prefix(static_cast<size_t>(rest - text.data()));
    }
  }

  template <class T>
  void read_as(size_t count, std::vector<double>& out) {
    const std::string_view data = take(count * sizeof(T));
    for (size_t i = 0; i < count; ++i) {
      T value;
      std::memcpy(&value, data.data() + i * sizeof value, sizeof value);
      out.push_back(static_cast<double>(value));
    }
  }

  void read_numbers(std::string_view type, size_t count, std::vector<double>& out) {
    const std::string_view kind = type.substr(std::min<size_t>(1, type.size()));
    if (type.starts_with('>')) fail(fmt::format("dtype {}", type));
    if (kind == "f8") return read_as<double>(count, out);
    if (kind == "f4") return read_as<float>(count, out);
    if (kind == "i8") return read_as<int64_t>(count, out);
    if (kind == "i4") return read_as<int32_t>(count, out);
    if (kind == "i1") return read_as<int8_t>(count, out);
    if (kind == "u1" || kind == "b1") return read_as<uint8_t>(count, out);
    fail(fmt::format("dtype {}", type));
  }

  void read_texts(std::string_view type, size_t count, std::vector<std::string>& out) {
    size_t width = 0;
    const auto [rest, error] = std::from_chars(type.data() + 2, type.data() + type.size(), width);
    if (error != std::errc() || rest != type.data() + type.size() || width > 4096 ||
        type.starts_with('>'))
      fail(fmt::format("dtype {}", type));
    for (size_t i = 0; i < count; ++i) {
      std::string text;
      if (type[1] == 'S') {
        text = take(width);
      } else {
        for (size_t c = 0; c < width; ++c) append_utf8(number<uint32_t>(), text);
      }
      text.resize(text.find_last_not_of('\0') + 1);  // the padding
      out.push_back(std::move(text));
    }
  }

  void append_utf8(uint32_t code, std::string& out) const {
    if (code > 0x10FFFF) fail("a character that is none");
    const auto put = [&out](uint32_t byte) { out += static_cast<char>(byte); };
    if (code < 0x80) return put(code);
    if (code < 0x800) {
      put(0xC0 | code >> 6U);
    } else if (code < 0x10000) {
      put(0xE0 | code >> 12U);
      put(0x80 | (code >> 6U & 0x3FU));
    } else {
      put(0xF0 | code >> 18U);
      put(0x80 | (code >> 12U & 0x3FU));
      put(0x80 | (code >> 6U & 0x3FU));
    }
    put(0x80 | (code & 0x3FU));
  }

  // The texts of a pickled array of objects. Its list is the last of texts alone: before it are
  // names and versions of NumPy.
  std::vector<std::string> pickled_texts(size_t count) const {
    const checkpoint::Pickle pickle =
        checkpoint::read_pickle(name_, std::as_bytes(std::span(bytes_)), {});
    for (auto list = pickle.values.rbegin(); list != pickle.values.rend(); ++list) {
      if (list->kind != checkpoint::Kind::kList || list->items.size() != count) continue;
      std::vector<std::string> out;
      for (const uint32_t item : list->items) {
        const checkpoint::Value& value = pickle.values[item];
        if (value.kind == checkpoint::Kind::kText) out.emplace_back(value.text);
      }
      if (out.size() == count) return out;
    }
    fail(fmt::format("it holds no {} plain texts", count));
  }

  std::string_view name_;
  std::string_view bytes_;
};

}  // namespace

int64_t NpyArray::size() const {
  int64_t out = 1;
  for (const int64_t n : shape) out *= n;
  return out;
}

NpyArray parse_npy(std::string_view name, std::span<const std::byte> bytes) {
  return Parser(name, bytes).parse();
}

std::vector<NpyArray> read_npz(const std::filesystem::path& file,
                               const std::vector<std::string>& names) {
  const auto mapped = checkpoint::MappedFile::open(file);
  const checkpoint::ZipReader zip(file, mapped.bytes);
  int64_t budget = kMostUnpacked;
  std::vector<NpyArray> out;
  for (const std::string& name : names) {
    const auto content = zip.read(name + ".npy", budget);
    out.push_back(parse_npy(file.string() + ":" + name, content.bytes));
  }
  return out;
}

}  // namespace xp::data
