#include "core/recipe/value.h"

#include <array>
#include <charconv>
#include <cmath>

namespace xp::recipe {

std::vector<std::string> split_dots(std::string_view text) {
  std::vector<std::string> out;
  while (true) {
    const std::size_t dot = text.find('.');
    out.emplace_back(text.substr(0, dot));
    if (dot == std::string_view::npos) return out;
    text.remove_prefix(dot + 1);
  }
}

std::string_view type_name(const Value& value) {
  constexpr std::array<std::string_view, 6> kNames = {"a bool",   "an integer", "a float",
                                                      "a string", "an array",   "a table"};
  return kNames[value.data.index()];
}

std::string quote(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string to_toml(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 40> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  std::string out(buffer.data(), end);
  if (out.find_first_of(".e") == std::string::npos) out += ".0";
  // "1e-04" and "1e+20" read back the same, but nobody writes them.
  if (const std::size_t e = out.find('e'); e != std::string::npos) {
    std::size_t digits = e + 1;
    if (out[digits] == '+') out.erase(digits, 1);
    if (out[digits] == '-') ++digits;
    while (digits + 1 < out.size() && out[digits] == '0') out.erase(digits, 1);
  }
  return out;
}

namespace {

bool bare_key(std::string_view key) {
  for (const char c : key) {
    const bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || c == '-';
    if (!ok) return false;
  }
  return !key.empty();
}

struct Writer {
  std::string operator()(bool v) const { return v ? "true" : "false"; }
  std::string operator()(int64_t v) const { return std::to_string(v); }
  std::string operator()(double v) const { return to_toml(v); }
  std::string operator()(const std::string& v) const { return quote(v); }
  std::string operator()(const Array& v) const {
    std::string out = "[";
    for (const Value& item : v) out += (out.size() > 1 ? ", " : "") + to_toml(item);
    return out + "]";
  }
  std::string operator()(const Table& v) const {
    if (v.empty()) return "{}";
    std::string out = "{";
    for (const auto& [key, item] : v) {
      out += (out.size() > 1 ? ", " : " ") + (bare_key(key) ? key : quote(key)) + " = " +
             to_toml(item);
    }
    return out + " }";
  }
};

}  // namespace

std::string to_toml(const Value& value) { return std::visit(Writer{}, value.data); }

}  // namespace xp::recipe
