#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace xp::recipe {

/// The parts of a dotted key: "tome.r" is {"tome", "r"}.
std::vector<std::string> split_dots(std::string_view text);

/// Where a value was written: an index into the recipe's list of sources, line and column from 1.
/// Source -1: nowhere (a default).
struct Spot {
  int source = -1;
  int line = 0;
  int column = 0;
};

struct Value;
using Array = std::vector<Value>;
using Table = std::map<std::string, Value, std::less<>>;

/// A value of a recipe, and where it was written. Equality looks at the value alone.
struct Value {
  std::variant<bool, int64_t, double, std::string, Array, Table> data;
  Spot spot;      ///< of the value
  Spot key_spot;  ///< of the key that it belongs to

  Value() = default;
  Value(bool v) : data(v) {}                      // NOLINT(google-explicit-constructor)
  Value(int64_t v) : data(v) {}                   // NOLINT(google-explicit-constructor)
  Value(double v) : data(v) {}                    // NOLINT(google-explicit-constructor)
  Value(std::string v) : data(std::move(v)) {}    // NOLINT(google-explicit-constructor)
  Value(const char* v) : data(std::string(v)) {}  // NOLINT(google-explicit-constructor)
  Value(Array v);                                 // NOLINT(google-explicit-constructor)
  Value(Table v);                                 // NOLINT(google-explicit-constructor)

  template <class T>
  const T* get() const {
    return std::get_if<T>(&data);
  }
  template <class T>
  T* get() {
    return std::get_if<T>(&data);
  }
  bool operator==(const Value& other) const { return data == other.data; }
};

inline Value::Value(Array v) : data(std::move(v)) {}
inline Value::Value(Table v) : data(std::move(v)) {}

/// "an integer", "a string", ...: for messages.
std::string_view type_name(const Value& value);

/// As TOML on one line: 2.5e-4 keeps its digits (shortest that reads back the same), floats always
/// have a point or an exponent, tables are inline with sorted keys.
std::string to_toml(const Value& value);
std::string to_toml(double value);
/// A TOML basic string with what must be escaped escaped.
std::string quote(std::string_view text);

}  // namespace xp::recipe
