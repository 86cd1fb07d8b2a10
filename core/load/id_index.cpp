#include "core/load/id_index.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <span>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/checkpoint/pickle.h"

namespace xp::load {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const fs::path& file, const std::string& reason) {
  throw Error(fmt::format("{}: {}", file.string(), reason), Exit::kData);
}

/// The text after 'key': in the header's Python dict, up to the comma or bracket that ends it.
std::string header_value(const fs::path& file, const std::string& header, const std::string& key) {
  const size_t at = header.find("'" + key + "':");
  if (at == std::string::npos) refuse(file, "no '" + key + "' in its header");
  size_t begin = header.find_first_not_of(' ', at + key.size() + 3);
  if (begin == std::string::npos) refuse(file, "damaged header");
  const char open = header[begin];
  if (open == '(') return header.substr(begin + 1, header.find(')', begin) - begin - 1);
  if (open == '\'') return header.substr(begin + 1, header.find('\'', begin + 1) - begin - 1);
  return header.substr(begin, header.find_first_of(",}", begin) - begin);
}

float half_to_float(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  const float sign = (bits & 0x8000) != 0 ? -1.0F : 1.0F;
  if (exponent == 0) return sign * static_cast<float>(fraction) * 0x1p-24F;
  if (exponent == 31)
    return fraction != 0 ? std::numeric_limits<float>::quiet_NaN()
                         : sign * std::numeric_limits<float>::infinity();
  return sign * static_cast<float>(1024 + fraction) * std::ldexp(1.0F, exponent - 25);
}

using IdIndex = std::unordered_map<std::string, int64_t>;

void add_row(const fs::path& file, IdIndex& index, std::string id, int64_t row) {
  const auto [at, fresh] = index.emplace(std::move(id), row);
  if (!fresh)
    refuse(file, fmt::format("clip {} stands in it twice, with rows {} and {}", at->first,
                             at->second, row));
}

IdIndex read_csv_index(const fs::path& file) {
  IdIndex index;
  const std::string text = read_file(file);
  size_t begin = 0;
  int64_t number = 0;
  while (begin < text.size()) {
    size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty()) continue;
    const size_t comma = line.rfind(',');
    int64_t row = -1;
    const char* first = line.data() + (comma == std::string::npos ? line.size() : comma + 1);
    const auto parsed = std::from_chars(first, line.data() + line.size(), row);
    if (parsed.ec != std::errc() || row < 0) {
      if (number == 1) continue;  // a header
      refuse(file, fmt::format("line {}: expected `id,row`", number));
    }
    add_row(file, index, line.substr(0, comma), row);
  }
  return index;
}

IdIndex read_pickle_index(const fs::path& file) {
  const std::string bytes = read_file(file);
  const checkpoint::Pickle pickle =
      checkpoint::read_pickle(file, std::as_bytes(std::span(bytes.data(), bytes.size())), {});
  const checkpoint::Value& root = pickle.values[pickle.root];
  if (root.kind != checkpoint::Kind::kDict) refuse(file, "it holds no dict of id -> row");
  IdIndex index;
  for (size_t i = 0; i + 1 < root.items.size(); i += 2) {
    const checkpoint::Value& key = pickle.values[root.items[i]];
    const checkpoint::Value& row = pickle.values[root.items[i + 1]];
    if (key.kind != checkpoint::Kind::kText || row.kind != checkpoint::Kind::kInt)
      refuse(file, "its dict is not one of text -> integer");
    add_row(file, index, std::string(key.text), row.integer);
  }
  return index;
}

}  // namespace

Matrix read_npy(const fs::path& file) {
  const std::string bytes = read_file(file);
  if (bytes.size() < 12 || bytes.compare(0, 6, "\x93NUMPY") != 0) refuse(file, "not an .npy file");
  const bool old = bytes[6] == 1;
  uint32_t length = 0;
  if (old) {
    uint16_t small = 0;
    std::memcpy(&small, bytes.data() + 8, 2);
    length = small;
  } else {
    std::memcpy(&length, bytes.data() + 8, 4);
  }
  const size_t start = old ? 10 : 12;
  if (length > bytes.size() - start) refuse(file, "damaged header");
  const std::string header = bytes.substr(start, length);
  const std::string type = header_value(file, header, "descr");
  const size_t width = type == "<f4" ? 4 : type == "<f8" ? 8 : type == "<f2" ? 2 : 0;
  if (width == 0) refuse(file, "its type is " + type + ", expected <f2, <f4 or <f8");
  if (header_value(file, header, "fortran_order") != "False")
    refuse(file, "it is in Fortran order");
  const std::string shape = header_value(file, header, "shape");
  Matrix matrix;
  const char* end = shape.data() + shape.size();
  auto parsed = std::from_chars(shape.data(), end, matrix.rows);
  const size_t comma = shape.find(',');
  if (parsed.ec != std::errc() || comma == std::string::npos) refuse(file, "it is not a matrix");
  const size_t second = shape.find_first_not_of(' ', comma + 1);
  if (second == std::string::npos) refuse(file, "it is not a matrix");
  parsed = std::from_chars(shape.data() + second, end, matrix.columns);
  if (parsed.ec != std::errc() || matrix.rows < 0 || matrix.columns <= 0 ||
      shape.find_first_of("0123456789", static_cast<size_t>(parsed.ptr - shape.data())) !=
          std::string::npos)
    refuse(file, "it is not a matrix");
  const size_t held = (bytes.size() - start - length) / width;
  if (matrix.rows > 0 &&
      held / static_cast<size_t>(matrix.rows) < static_cast<size_t>(matrix.columns))
    refuse(file, "it is cut short");
  const auto count = static_cast<size_t>(matrix.rows * matrix.columns);
  matrix.values.resize(count);
  const char* from = bytes.data() + start + length;
  for (size_t i = 0; i < count; ++i) {
    if (width == 4) {
      std::memcpy(&matrix.values[i], from + i * 4, 4);
    } else if (width == 8) {
      double value = 0;
      std::memcpy(&value, from + i * 8, 8);
      matrix.values[i] = static_cast<float>(value);
    } else {
      uint16_t value = 0;
      std::memcpy(&value, from + i * 2, 2);
      matrix.values[i] = half_to_float(value);
    }
  }
  return matrix;
}

std::unordered_map<std::string, int64_t> read_id_index(const fs::path& file) {
  return file.extension() == ".csv" ? read_csv_index(file) : read_pickle_index(file);
}

std::vector<std::string> id_candidates(std::string_view id) {
  std::vector<std::string> names{std::string(id)};
  std::string last(
      id.substr(id.find_last_of('/') == std::string_view::npos ? 0 : id.find_last_of('/') + 1));
  names.push_back(last);
  const size_t dot = last.rfind('.');
  if (dot != std::string::npos && last.size() - dot <= 6) last = last.substr(0, dot);
  names.push_back(last);
  if (last.starts_with('Y')) names.push_back(last.substr(1));
  names.push_back("Y" + last);
  return names;
}

}  // namespace xp::load
