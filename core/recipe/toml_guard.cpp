#include "core/recipe/toml_guard.h"

#include <fmt/format.h>

#include "core/recipe/toml.h"

namespace xp::recipe {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

bool ends_value(char c) { return is_blank(c) || c == ']' || c == '}' || c == ',' || c == '#'; }

bool begins_number(char c) { return (c >= '0' && c <= '9') || c == '+' || c == '-'; }

/// Walks the text as a TOML lexer would, far enough to count brackets, the dots of keys and the
/// length of numbers.
class Guard {
 public:
  explicit Guard(std::string_view text) : text_(text) {}

  std::optional<Refusal> run() {
    while (at_ < text_.size() && !found_) step();
    return found_;
  }

 private:
  void step() {
    const char c = text_[at_];
    if (c == '#') {
      skip_comment();
      return;
    }
    if (before_value_ && begins_number(c)) measure_number();
    if (!is_blank(c)) before_value_ = c == '=' || c == '[' || c == ',';
    if (c == '"' || c == '\'') {
      skip_string(c);
    } else {
      count(c);
      advance();
    }
  }

  void measure_number() {
    std::size_t end = at_;
    while (end < text_.size() && end - at_ <= kMaxNumber && !ends_value(text_[end])) ++end;
    if (end - at_ > kMaxNumber)
      refuse(fmt::format("a number of more than {} characters", kMaxNumber));
  }

  void count(char c) {
    if (c == '[' || c == '{') {
      if (++nesting_ > kMaxDepth) refuse_depth();
      dots_ = 0;
    } else if (c == ']' || c == '}') {
      if (nesting_ > 0) --nesting_;
      dots_ = 0;
    } else if (c == '=' || c == ',' || c == '\n') {
      dots_ = 0;
    } else if (c == '.' && ++dots_ > kMaxDepth) {
      refuse_depth();
    }
  }

  void refuse_depth() { refuse(fmt::format("nested deeper than {} levels", kMaxDepth)); }

  void refuse(std::string message) {
    if (!found_) found_ = Refusal{line_, column_, std::move(message)};
  }

  void skip_comment() {
    while (at_ < text_.size() && text_[at_] != '\n') advance();
  }

  void skip_string(char quote) {
    const bool multi = text_.substr(at_, 3) == std::string(3, quote);
    const std::size_t width = multi ? 3 : 1;
    for (std::size_t i = 0; i < width; ++i) advance();
    while (at_ < text_.size()) {
      if (quote == '"' && text_[at_] == '\\') {
        advance();
        if (at_ < text_.size()) advance();
        continue;
      }
      if (text_.substr(at_, width) == std::string(width, quote)) break;
      if (!multi && text_[at_] == '\n') return;
      advance();
    }
    // A string of many lines may end in two quotes of its own before the three that close it.
    const std::size_t most = multi ? 5 : 1;
    for (std::size_t i = 0; i < most && at_ < text_.size() && text_[at_] == quote; ++i) advance();
  }

  void advance() {
    if (text_[at_] == '\n') {
      ++line_;
      column_ = 0;
    }
    ++column_;
    ++at_;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  int column_ = 1;
  int nesting_ = 0;
  int dots_ = 0;
  bool before_value_ = false;
  std::optional<Refusal> found_;
};

}  // namespace

std::optional<Refusal> find_refusal(std::string_view text) { return Guard(text).run(); }

}  // namespace xp::recipe
