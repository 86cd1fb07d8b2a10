#include "core/recipe/sweep_spec.h"

#include <charconv>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "core/recipe/toml.h"

namespace xp::recipe {
namespace {

bool is_text(Leaf leaf) {
  return leaf == Leaf::kString || leaf == Leaf::kEnum || leaf == Leaf::kInputs;
}

bool is_number(Leaf leaf) {
  return leaf == Leaf::kInt || leaf == Leaf::kFloat || leaf == Leaf::kIntOrList;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Splits at `separator` outside brackets, braces and quotes.
std::vector<std::string_view> split_top(std::string_view text, char separator,
                                        std::size_t most = kMaxSweepValues) {
  std::vector<std::string_view> out;
  int depth = 0;
  char quote = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == '\\' && quote == '"') {
        ++i;
      } else if (c == quote) {
        quote = 0;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == separator && depth <= 0) {
      out.push_back(trim(text.substr(begin, i - begin)));
      begin = i + 1;
    }
    if (out.size() >= most) throw Error(fmt::format("more than {} values", most));
  }
  out.push_back(trim(text.substr(begin)));
  return out;
}

std::optional<int64_t> as_int(std::string_view text) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  int64_t out = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || result.ec != std::errc() || result.ptr != text.data() + text.size())
    return std::nullopt;
  return out;
}

std::optional<double> as_double(std::string_view text) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  double out = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || result.ec != std::errc() || result.ptr != text.data() + text.size())
    return std::nullopt;
  if (!std::isfinite(out)) return std::nullopt;
  return out;
}

double number_of(std::string_view text) {
  const auto value = as_double(text);
  if (!value) throw Error(fmt::format("'{}' is no number", text));
  return *value;
}

Value checked(Value value, const FieldSpec& field) {
  if (field.leaf == Leaf::kFloat) {
    if (const int64_t* whole = value.get<int64_t>()) value = Value(static_cast<double>(*whole));
  }
  if (const auto fault = field.fault(value, true))
    throw Error(fmt::format("{}: {}", field.dotted(), *fault));
  return value;
}

Value item(std::string_view text, const FieldSpec& field) {
  if (text.empty() && field.leaf != Leaf::kString) throw Error("an empty value");
  const bool quoted = text.size() >= 2 && (text.front() == '"' || text.front() == '\'') &&
                      text.back() == text.front();
  if (is_text(field.leaf) && !quoted) return checked(Value(std::string(text)), field);
  try {
    return checked(parse_toml_value(text, -1), field);
  } catch (const SyntaxError&) {
    throw Error(
        fmt::format("{}: expected {}, received '{}'", field.dotted(), field.expects(), text));
  }
}

void check_count(double count, std::size_t most) {
  if (!(count >= 1) || count > static_cast<double>(most)) {
    throw Error(fmt::format("{:.6g} values: between 1 and {} are possible", count, most));
  }
}

/// a:b:step over integers. `count` fits: the span of two int64 divided by a step of at least 1 is
/// checked as double.
std::vector<Value> int_range(int64_t first, int64_t last, int64_t step, const FieldSpec& field,
                             std::size_t most) {
  if (step == 0 || (step > 0) != (last >= first)) {
    if (first != last || step == 0)
      throw Error(fmt::format("a step of {} does not lead from {} to {}", step, first, last));
  }
  const double count = std::floor((static_cast<double>(last) - static_cast<double>(first)) /
                                  static_cast<double>(step)) +
                       1;
  check_count(count, most);
  std::vector<Value> out;
  for (int64_t i = 0; i < static_cast<int64_t>(count); ++i) {
    // Unsigned, so that a span wider than int64 does not overflow on the way.
    const uint64_t at =
        static_cast<uint64_t>(first) + static_cast<uint64_t>(i) * static_cast<uint64_t>(step);
    out.push_back(checked(Value(static_cast<int64_t>(at)), field));
  }
  return out;
}

std::vector<Value> float_range(double first, double last, double step, const FieldSpec& field,
                               std::size_t most) {
  if (step == 0 || ((step > 0) != (last >= first) && first != last)) {
    throw Error(fmt::format("a step of {:g} does not lead from {:g} to {:g}", step, first, last));
  }
  // An end that rounding misses by a millionth of a step is hit.
  const double count = std::floor((last - first) / step + 1e-6) + 1;
  check_count(count, most);
  std::vector<Value> out;
  for (int64_t i = 0; i < static_cast<int64_t>(count); ++i) {
    double value = first + static_cast<double>(i) * step;
    if (i + 1 == static_cast<int64_t>(count) && std::fabs(value - last) <= 1e-6 * std::fabs(step))
      value = last;
    // 0:1:0.1 means 0.3, not 0.30000000000000004: 15 digits are what the spec can say.
    value = *as_double(fmt::format("{:.15g}", value));
    out.push_back(checked(Value(value), field));
  }
  return out;
}

std::vector<Value> range(const std::vector<std::string_view>& parts, const FieldSpec& field,
                         std::size_t most) {
  const auto first = as_int(parts[0]);
  const auto last = as_int(parts[1]);
  const auto step = as_int(parts[2]);
  if (first && last && step && field.leaf != Leaf::kFloat)
    return int_range(*first, *last, *step, field, most);
  return float_range(number_of(parts[0]), number_of(parts[1]), number_of(parts[2]), field, most);
}

std::vector<Value> points(const std::vector<std::string_view>& parts, bool log,
                          const FieldSpec& field, std::size_t most) {
  const double low = number_of(parts[1]);
  const double high = number_of(parts[2]);
  const auto n = as_int(parts[3]);
  if (!n) throw Error(fmt::format("'{}' is no number of points", parts[3]));
  check_count(static_cast<double>(*n), most);
  if (log && (low <= 0 || high <= 0)) throw Error("log: both ends must be above 0");
  std::vector<Value> out;
  for (int64_t i = 0; i < *n; ++i) {
    const double at = *n == 1 ? 0 : static_cast<double>(i) / static_cast<double>(*n - 1);
    double value = log ? low * std::pow(high / low, at) : low + (high - low) * at;
    if (i == 0) value = low;
    if (i > 0 && i + 1 == *n) value = high;
    value = *as_double(fmt::format("{:.15g}", value));
    const bool whole = field.leaf == Leaf::kInt || field.leaf == Leaf::kIntOrList;
    constexpr double kBeyondInt = 9223372036854775808.0;
    if (whole && (std::floor(value) != value || std::fabs(value) >= kBeyondInt))
      throw Error(fmt::format("{:g} is no integer, which {} is", value, field.dotted()));
    out.push_back(whole ? checked(Value(static_cast<int64_t>(value)), field)
                        : checked(Value(value), field));
  }
  return out;
}

SweepSpec drawn(SweepSpec::Kind kind, const std::vector<std::string_view>& parts,
                const FieldSpec& field) {
  SweepSpec out;
  out.kind = kind;
  out.low = number_of(parts[1]);
  out.high = number_of(parts[2]);
  const bool whole = kind == SweepSpec::Kind::kInt;
  if (whole && (!as_int(parts[1]) || !as_int(parts[2])))
    throw Error("int: both ends must be integers");
  if (!whole && field.leaf != Leaf::kFloat) {
    throw Error(fmt::format("{} is {}; draw it with int:lo:hi or choice:a|b", field.dotted(),
                            field.expects()));
  }
  if (kind == SweepSpec::Kind::kLogUniform && out.low <= 0)
    throw Error("loguniform: both ends must be above 0");
  if (!(out.low < out.high))
    throw Error(fmt::format("the range from {:g} to {:g} is empty", out.low, out.high));
  for (const size_t end : {1, 2}) {
    checked(whole ? Value(*as_int(parts[end])) : Value(number_of(parts[end])), field);
  }
  return out;
}

void need_parts(const std::vector<std::string_view>& parts, std::size_t count, const char* form) {
  if (parts.size() != count) throw Error(fmt::format("expected {}", form));
}

/// The spec forms that begin with a word; nullopt when `text` has none of them.
std::optional<SweepSpec> named(std::string_view text, const FieldSpec& field, std::size_t most) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view word = text.substr(0, colon);
  SweepSpec out;
  if (word == "choice") {
    for (const std::string_view part : split_top(text.substr(colon + 1), '|', most))
      out.values.push_back(item(part, field));
    return out;
  }
  if (!is_number(field.leaf)) return std::nullopt;
  const auto parts = split_top(text, ':');
  if (word == "lin" || word == "log") {
    need_parts(parts, 4, word == "lin" ? "lin:lo:hi:n" : "log:lo:hi:n");
    out.values = points(parts, word == "log", field, most);
    return out;
  }
  const auto draw = [&](SweepSpec::Kind kind, const char* form) {
    need_parts(parts, 3, form);
    return drawn(kind, parts, field);
  };
  if (word == "uniform") return draw(SweepSpec::Kind::kUniform, "uniform:lo:hi");
  if (word == "loguniform") return draw(SweepSpec::Kind::kLogUniform, "loguniform:lo:hi");
  if (word == "int") return draw(SweepSpec::Kind::kInt, "int:lo:hi");
  return std::nullopt;
}

}  // namespace

SweepSpec parse_sweep_spec(std::string_view text, const FieldSpec& field, std::size_t most) {
  text = trim(text);
  if (!field.spec.sweepable) throw Error(fmt::format("{} cannot be swept", field.dotted()));
  if (text.empty()) throw Error("an empty spec; write a:b:step, a list x,y,z or choice:x|y");
  if (auto spec = named(text, field, most)) return std::move(*spec);
  SweepSpec out;
  const auto parts = split_top(text, ':');
  if (is_number(field.leaf) && parts.size() > 1 && split_top(text, ',').size() == 1) {
    need_parts(parts, 3, "a:b:step");
    out.values = range(parts, field, most);
    return out;
  }
  for (const std::string_view part : split_top(text, ',', most))
    out.values.push_back(item(part, field));
  return out;
}

SweepSpec parse_sweep_value(const Value& value, const FieldSpec& field, std::size_t most) {
  if (const std::string* text = value.get<std::string>())
    return parse_sweep_spec(*text, field, most);
  if (!field.spec.sweepable) throw Error(fmt::format("{} cannot be swept", field.dotted()));
  SweepSpec out;
  const Array* array = value.get<Array>();
  if (array == nullptr) {
    out.values.push_back(checked(value, field));
    return out;
  }
  check_count(static_cast<double>(array->size()), most);
  for (const Value& one : *array) out.values.push_back(checked(one, field));
  return out;
}

std::string spec_text(const Value& value) {
  const std::string* text = value.get<std::string>();
  if (text == nullptr) return to_toml(value);
  const bool plain = !text->empty() && text->find_first_of(",:|\"'[]{} \t\\") == std::string::npos;
  return plain ? *text : quote(*text);
}

}  // namespace xp::recipe
