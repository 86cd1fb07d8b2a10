#include "tracker/filter.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.h"

namespace xp::tracker {
namespace {

constexpr int kMaxDepth = 200;
constexpr size_t kMaxText = 1u << 16;

enum class FieldType { kText, kNumber, kSeconds, kStatus, kTag };

struct Field {
  const char* name;
  FieldType type;
  const char* sql;  ///< one `?` in it is the time now
};

constexpr std::array<Field, 14> kFields = {{
    {"age", FieldType::kSeconds, "MAX(0, (? - run.created_ns) / 1e9)"},
    {"attempts", FieldType::kNumber, "run.attempts"},
    {"created", FieldType::kText,
     "strftime('%Y-%m-%dT%H:%M:%SZ', run.created_ns / 1000000000, 'unixepoch')"},
    {"duration", FieldType::kSeconds,
     "MAX(0, (CASE WHEN run.ended_ns > 0 THEN run.ended_ns ELSE NULLIF(run.heartbeat_ns, 0) END - "
     "run.started_ns) / 1e9)"},
    {"error", FieldType::kText, "run.error"},
    {"hash", FieldType::kText, "run.recipe_hash"},
    {"host", FieldType::kText, "run.host"},
    {"name", FieldType::kText, "run.name"},
    {"notes", FieldType::kText, "run.notes"},
    {"parent", FieldType::kText, "run.parent"},
    {"recipe", FieldType::kText, "run.recipe_path"},
    {"status", FieldType::kStatus, "run.status"},
    {"sweep", FieldType::kText, "run.sweep"},
    {"uid", FieldType::kText, "run.uid"},
}};

constexpr std::array<const char*, 8> kStatuses = {"queued",      "running",   "done", "failed",
                                                  "interrupted", "preempted", "lost", "broken"};

struct Token {
  enum Type { kWord, kQuoted, kSymbol, kEnd } type;
  std::string text;
  size_t at;
};

bool word_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("_.-+/:@*[]%").find(c) != std::string_view::npos ||
         static_cast<unsigned char>(c) >= 0x80;
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  [[noreturn]] void fail(size_t at, const std::string& message) const {
    Place place;
    place.file = "filter";
    place.line = 1;
    place.column = static_cast<int>(at) + 1;
    place.text = std::string(text_);
    throw Error(place, message);
  }

  Token next() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
    const size_t from = at_;
    if (at_ == text_.size()) return {Token::kEnd, "", from};
    const char c = text_[at_];
    if (c == '\'' || c == '"') return quoted(c);
    for (const std::string_view symbol :
         {"==", "!=", "<=", ">=", "!~", "=", "<", ">", "~", "(", ")", ",", "!"}) {
      if (text_.substr(at_).starts_with(symbol)) {
        at_ += symbol.size();
        return {Token::kSymbol, symbol == "==" ? "=" : std::string(symbol), from};
      }
    }
    while (at_ < text_.size() && word_char(text_[at_])) ++at_;
    if (at_ == from) fail(from, fmt::format("'{}' has no meaning here", c));
    return {Token::kWord, std::string(text_.substr(from, at_ - from)), from};
  }

 private:
  Token quoted(char quote) {
    const size_t from = at_++;
    std::string out;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == quote) return {Token::kQuoted, out, from};
      if (c == '\\' && at_ < text_.size()) {
        out += text_[at_++];
      } else {
        out += c;
      }
    }
    fail(from, "this quote has no end");
  }

  std::string_view text_;
  size_t at_ = 0;
};

std::optional<double> number_of(const std::string& text) {
  if (text.empty() || text[0] == '+') return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Seconds of "90s", "30min", "12h", "7d" or a plain number.
std::optional<double> seconds_of(const std::string& text) {
  constexpr std::array<std::pair<std::string_view, double>, 4> kUnits = {
      {{"min", 60}, {"s", 1}, {"h", 3600}, {"d", 86400}}};
  for (const auto& [unit, factor] : kUnits) {
    if (!text.ends_with(unit)) continue;
    if (const auto value = number_of(text.substr(0, text.size() - unit.size())))
      return *value * factor;
  }
  return number_of(text);
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// Left sides, shared by filters and sort keys.
class Keys {
 public:
  Keys(const KeyTable& table, int64_t now_ns) : table_(table), now_ns_(now_ns) {}

  static const Field* field(std::string_view name) {
    for (const Field& field : kFields) {
      if (name == field.name) return &field;
    }
    return nullptr;
  }

  KeyInfo find(const std::string& name, const Lexer& lexer, size_t at) const {
    const KeyInfo info = table_.find(name);
    if (info.param || info.metric) return info;
    std::vector<std::string> all = table_.all();
    for (const Field& field : kFields) all.emplace_back(field.name);
    const std::string guess = nearest(name, all);
    lexer.fail(at, fmt::format("no run has '{}'{}; `exp runs --keys` lists what there is", name,
                               did_you_mean(guess)));
  }

  /// The value of a summary function over a metric, as an SQL column; empty when there is no such
  /// function.
  static std::string_view function(std::string_view name) {
    constexpr std::array<std::string_view, 5> kFunctions = {"last", "max", "min", "n", "nans"};
    const auto* at = std::find(kFunctions.begin(), kFunctions.end(), name);
    return at == kFunctions.end() ? std::string_view{} : *at;
  }

  int64_t now_ns() const { return now_ns_; }

 private:
  const KeyTable& table_;
  int64_t now_ns_;
};

class Parser {
 public:
  Parser(std::string_view text, const KeyTable& table, int64_t now_ns)
      : lexer_(text), keys_(table, now_ns) {
    token_ = lexer_.next();
  }

  Compiled parse() {
    any(0);
    if (token_.type != Token::kEnd) {
      lexer_.fail(token_.at,
                  fmt::format("expected 'and', 'or' or the end, found '{}'", token_.text));
    }
    return std::move(out_);
  }

 private:
  void advance() { token_ = lexer_.next(); }
  bool symbol(std::string_view text) const {
    return token_.type == Token::kSymbol && token_.text == text;
  }
  bool word(std::string_view text) const {
    return token_.type == Token::kWord && lower(token_.text) == text;
  }
  void expect(std::string_view text) {
    if (!symbol(text)) lexer_.fail(token_.at, fmt::format("expected '{}'", text));
    advance();
  }

  void any(int depth) {
    if (depth > kMaxDepth) lexer_.fail(token_.at, "too many brackets inside one another");
    out_.sql += '(';
    all(depth);
    while (word("or")) {
      advance();
      out_.sql += " OR ";
      all(depth);
    }
    out_.sql += ')';
  }

  void all(int depth) {
    unary(depth);
    while (word("and")) {
      advance();
      out_.sql += " AND ";
      unary(depth);
    }
  }

  void unary(int depth) {
    int nots = 0;
    while (word("not") || symbol("!")) {
      advance();
      ++nots;
    }
    if (nots % 2 == 1) out_.sql += "NOT ";
    if (symbol("(")) {
      advance();
      any(depth + 1);
      return expect(")");
    }
    comparison();
  }

  void comparison() {
    const Token left = token_;
    if (left.type != Token::kWord && left.type != Token::kQuoted) {
      lexer_.fail(left.at, left.type == Token::kEnd
                               ? "expected a condition such as status=done"
                               : fmt::format("expected a condition, found '{}'", left.text));
    }
    advance();
    if (left.type == Token::kWord && symbol("(")) return call(left);
    if (left.type == Token::kWord) {
      if (const Field* field = Keys::field(left.text)) return compare_field(*field);
      if (left.text == "tag") return compare_tag();
    }
    compare_key(keys_.find(left.text, lexer_, left.at), "last", left);
  }

  void call(const Token& name) {
    advance();
    const Token key = token_;
    if (key.type != Token::kWord && key.type != Token::kQuoted)
      lexer_.fail(key.at, "expected a metric's name");
    advance();
    expect(")");
    const KeyInfo info = keys_.find(key.text, lexer_, key.at);
    if (name.text == "has") {
      out_.sql +=
          "run.id IN (SELECT run FROM param WHERE key=? UNION ALL SELECT run FROM summary WHERE "
          "key=?)";
      bind(info.id);
      return bind(info.id);
    }
    const std::string_view column = Keys::function(name.text);
    if (column.empty()) {
      lexer_.fail(name.at, fmt::format("there is no function '{}': last, min, max, n, nans, has",
                                       name.text));
    }
    if (!info.metric)
      lexer_.fail(key.at, fmt::format("'{}' is a parameter, not a metric", key.text));
    compare_key({info.id, false, true}, column, key);
  }

  struct Operator {
    std::string sql;  ///< "=", "<>", "<", ..., "contains", "in"
    bool negated = false;
    std::vector<Token> values;
  };

  Operator operation() {
    Operator out;
    const Token op = token_;
    if (word("in")) {
      advance();
      expect("(");
      out.sql = "in";
      while (true) {
        out.values.push_back(value());
        if (!symbol(",")) break;
        advance();
      }
      expect(")");
      return out;
    }
    if (op.type != Token::kSymbol || op.text == "(" || op.text == ")" || op.text == "," ||
        op.text == "!") {
      lexer_.fail(op.at, "expected one of = != < <= > >= ~ in");
    }
    advance();
    out.sql = op.text == "!=" ? "<>" : op.text;
    if (op.text == "~" || op.text == "!~") out.sql = "contains";
    out.negated = op.text == "!~";
    out.values.push_back(value());
    return out;
  }

  Token value() {
    const Token value = token_;
    if (value.type != Token::kWord && value.type != Token::kQuoted)
      lexer_.fail(value.at, "expected a value");
    advance();
    return value;
  }

  template <class Value>
  void bind(Value value) {
    out_.bindings.push_back(Binding(std::move(value)));
  }

  /// Writes `expression op value` for each value, joined by OR. `expression` may hold a `?` for the
  /// time now.
  template <class One>
  void each(const Operator& op, const One& one) {
    out_.sql += op.negated ? "NOT (" : "(";
    for (size_t i = 0; i < op.values.size(); ++i) {
      if (i > 0) out_.sql += " OR ";
      one(op.values[i], op.sql == "in" ? "=" : op.sql);
    }
    out_.sql += ')';
  }

  void text_condition(std::string_view expression, const std::string& op,
                      const std::string& value) {
    if (op == "contains") {
      out_.sql += fmt::format("instr(lower({}), lower(?)) > 0", expression);
    } else {
      out_.sql += fmt::format("{} {} ?", expression, op);
    }
    bind(value);
  }

  void compare_field(const Field& field) {
    const Operator op = operation();
    each(op, [&](const Token& value, const std::string& sign) {
      if (field.type == FieldType::kStatus) return compare_status(field, value, sign);
      if (field.type == FieldType::kText) return text_condition(field.sql, sign, value.text);
      const auto number =
          field.type == FieldType::kSeconds ? seconds_of(value.text) : number_of(value.text);
      if (!number || sign == "contains") {
        lexer_.fail(value.at, fmt::format("'{}' is compared with a {}, not '{}'", field.name,
                                          field.type == FieldType::kSeconds
                                              ? "duration such as 90s, 30min, 12h, 7d"
                                              : "number",
                                          value.text));
      }
      if (std::string_view(field.sql).find('?') != std::string_view::npos) bind(keys_.now_ns());
      out_.sql += fmt::format("{} {} ?", field.sql, sign);
      bind(*number);
    });
  }

  void compare_status(const Field& field, const Token& value, const std::string& sign) {
    const std::string status = lower(value.text);
    if (sign != "contains" &&
        std::find(kStatuses.begin(), kStatuses.end(), status) == kStatuses.end()) {
      const std::string guess = nearest(status, kStatuses);
      lexer_.fail(value.at,
                  fmt::format("there is no status '{}'{}", value.text,
                              guess.empty() ? fmt::format(": {}", fmt::join(kStatuses, ", "))
                                            : fmt::format("; did you mean '{}'?", guess)));
    }
    text_condition(field.sql, sign, status);
  }

  void compare_tag() {
    const Operator op = operation();
    each(op, [&](const Token& value, const std::string& sign) {
      out_.sql += sign == "<>" ? "run.id NOT IN (SELECT run FROM tag WHERE "
                               : "run.id IN (SELECT run FROM tag WHERE ";
      text_condition("tag", sign == "<>" ? "=" : sign, value.text);
      out_.sql += ')';
    });
  }

  void compare_key(const KeyInfo& info, std::string_view column, const Token& key) {
    const Operator op = operation();
    each(op, [&](const Token& value, const std::string& sign) {
      out_.sql += '(';
      if (info.param) param_condition(info, sign, value);
      if (info.param && info.metric) out_.sql += " OR ";
      if (info.metric) metric_condition(info, column, sign, value, key, info.param);
      out_.sql += ')';
    });
  }

  void param_condition(const KeyInfo& info, const std::string& sign, const Token& value) {
    out_.sql += "run.id IN (SELECT run FROM param WHERE key=? AND (";
    bind(info.id);
    const bool bare = value.type == Token::kWord;
    const auto number = bare ? number_of(value.text) : std::nullopt;
    if (number && sign != "contains") {
      out_.sql += fmt::format("(type IN ('int','float') AND value {} ?) OR ", sign);
      bind(*number);
    } else if (bare && sign != "contains" && (value.text == "true" || value.text == "false")) {
      out_.sql += fmt::format("(type = 'bool' AND value {} ?) OR ", sign);
      bind(int64_t{value.text == "true"});
    }
    out_.sql += "(type IN ('string','json') AND ";
    text_condition("value", sign, value.text);
    out_.sql += ")))";
  }

  void metric_condition(const KeyInfo& info, std::string_view column, const std::string& sign,
                        const Token& value, const Token& key, bool param_too) {
    const auto number = number_of(value.text);
    if (!number || sign == "contains") {
      if (param_too) {
        out_.sql += "0";
        return;
      }
      lexer_.fail(value.at, fmt::format("'{}' is a metric: it is compared with a number, not '{}'",
                                        key.text, value.text));
    }
    out_.sql +=
        fmt::format("run.id IN (SELECT run FROM summary WHERE key=? AND {} {} ?)", column, sign);
    bind(info.id);
    bind(*number);
  }

  Lexer lexer_;
  Keys keys_;
  Token token_;
  Compiled out_;
};

}  // namespace

Compiled compile_filter(std::string_view text, const KeyTable& keys, int64_t now_ns) {
  if (text.size() > kMaxText)
    throw Error(fmt::format("a filter of {} letters is too long", text.size()));
  if (text.find_first_not_of(" \t\n\r") == std::string_view::npos) return {"1", {}};
  return Parser(text, keys, now_ns).parse();
}

Compiled compile_sort(std::string_view text, const KeyTable& table) {
  const bool down = text.starts_with('-');
  const std::string name(text.substr(down ? 1 : 0));
  const char* direction = down ? "DESC" : "ASC";
  Compiled out;
  if (const Field* field = Keys::field(name)) {
    // By age, the largest first, is by creation, the smallest first.
    if (std::string_view(field->name) == "age")
      return {fmt::format("run.created_ns {}", down ? "ASC" : "DESC"), {}};
    out.sql = fmt::format("{0} IS NULL, {0} {1}", field->sql, direction);
    return out;
  }
  const Lexer lexer(text);
  const KeyInfo info = Keys(table, 0).find(name, lexer, down ? 1 : 0);
  const std::string column = info.metric
                                 ? "(SELECT s.last FROM summary s WHERE s.key=? AND s.run=run.id)"
                                 : "(SELECT p.value FROM param p WHERE p.key=? AND p.run=run.id)";
  out.sql = fmt::format("{0} IS NULL, {0} {1}", column, direction);
  out.bindings = {Binding(info.id), Binding(info.id)};
  return out;
}

const std::vector<std::string>& filter_fields() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const Field& field : kFields) out.emplace_back(field.name);
    out.emplace_back("tag");
    return out;
  }();
  return names;
}

}  // namespace xp::tracker
