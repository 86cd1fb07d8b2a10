#include "core/recipe/toml_guard.h"

#include "core/recipe/toml.h"

namespace xp::recipe {
namespace {

/// Walks the text as a TOML lexer would, far enough to count brackets and the dots of keys.
class Guard {
 public:
  explicit Guard(std::string_view text) : text_(text) {}

  std::optional<TooDeep> run() {
    while (at_ < text_.size() && !found_) step();
    return found_;
  }

 private:
  void step() {
    const char c = text_[at_];
    if (c == '#') {
      skip_comment();
    } else if (c == '"' || c == '\'') {
      skip_string(c);
    } else {
      count(c);
      advance();
    }
  }

  void count(char c) {
    if (c == '[' || c == '{') {
      if (++nesting_ > kMaxDepth) found_ = TooDeep{line_, column_};
      dots_ = 0;
    } else if (c == ']' || c == '}') {
      if (nesting_ > 0) --nesting_;
      dots_ = 0;
    } else if (c == '=' || c == ',' || c == '\n') {
      dots_ = 0;
    } else if (c == '.' && ++dots_ > kMaxDepth) {
      found_ = TooDeep{line_, column_};
    }
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
    for (std::size_t i = 0; i < width && at_ < text_.size(); ++i) advance();
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
  std::optional<TooDeep> found_;
};

}  // namespace

std::optional<TooDeep> find_too_deep(std::string_view text) { return Guard(text).run(); }

}  // namespace xp::recipe
