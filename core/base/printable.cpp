#include "core/base/printable.h"

#include <algorithm>

#include <fmt/format.h>

namespace xp {
namespace {

unsigned char byte_at(std::string_view text, size_t i) {
  return static_cast<unsigned char>(text[i]);
}

/// Bytes that a UTF-8 character has by its first one; 0 for what begins none.
size_t stated_bytes(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

bool continues(unsigned char byte) { return (byte & 0xc0U) == 0x80U; }

/// Bytes of the UTF-8 character at the start of `text`; 0 when there is none.
size_t character_bytes(std::string_view text) {
  const size_t size = stated_bytes(byte_at(text, 0));
  if (size > text.size()) return 0;
  for (size_t i = 1; i < size; ++i)
    if (!continues(byte_at(text, i))) return 0;
  return size;
}

/// Whether a terminal acts on the character instead of showing it: C0, DEL and C1.
bool is_control(std::string_view character) {
  const unsigned char first = byte_at(character, 0);
  return first < 0x20 || first == 0x7f || (first == 0xc2 && byte_at(character, 1) < 0xa0);
}

std::string as_bytes(std::string_view character) {
  std::string out;
  for (size_t i = 0; i < character.size(); ++i)
    out += fmt::format("\\x{:02x}", byte_at(character, i));
  return out;
}

std::string as_json(std::string_view character) {
  return fmt::format("\\u{:04x}", byte_at(character, character.size() - 1));
}

std::string escaped(std::string_view text, std::string_view kept,
                    std::string (*escape)(std::string_view)) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t whole = character_bytes(text);
    const size_t size = std::max<size_t>(1, whole);
    const std::string_view character = text.substr(0, size);
    const bool shown = whole > 0 && (!is_control(character) || kept.find(text[0]) != kept.npos);
    out += shown ? std::string(character) : escape(character);
    text.remove_prefix(size);
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text) { return escaped(text, "", &as_bytes); }

std::string printable_lines(std::string_view text) { return escaped(text, "\n\t", &as_bytes); }

std::string printable_json(std::string_view text) { return escaped(text, "\n\t", &as_json); }

bool is_printable(std::string_view text) { return printable(text) == text; }

size_t unfinished_bytes(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const unsigned char byte = byte_at(text, text.size() - back);
    if (continues(byte)) continue;
    return stated_bytes(byte) > back ? back : 0;
  }
  return 0;
}

}  // namespace xp
