#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/recipe/language.h"
#include "core/recipe/value.h"

namespace xp::recipe {

/// One axis of a sweep, or the values of an `each`.
struct SweepSpec {
  enum class Kind {
    kValues,      ///< a:b:step, x,y,z, lin, log, choice, an array: `values`
    kUniform,     ///< uniform:lo:hi
    kLogUniform,  ///< loguniform:lo:hi
    kInt          ///< int:lo:hi, both ends included
  };
  Kind kind = Kind::kValues;
  std::vector<Value> values;  ///< typed as the key is
  double low = 0;             ///< of a range that is drawn from
  double high = 0;

  bool is_range() const { return kind != Kind::kValues; }
};

inline constexpr std::size_t kMaxSweepValues = 100000;

/// Parses a spec for the key `field`, and checks that each value may stand there:
///   0:64:8            a:b:step, both ends included when hit: a + i * step; integers stay integers
///   0.1,0.25          a list, split at commas outside brackets and quotes
///   lin:0:1:5  log:1e-5:1e-3:3   n points, both ends
///   uniform:0:1  loguniform:1e-5:1e-2  int:1:8   drawn from, for the strategies that draw
///   choice:a|b        one of
/// Throws Error (no place) with what is wrong; never more than `most` values.
SweepSpec parse_sweep_spec(std::string_view text, const FieldSpec& field,
                           std::size_t most = kMaxSweepValues);

/// The same from a recipe's value: a spec string, an array of values, or one number or bool.
SweepSpec parse_sweep_value(const Value& value, const FieldSpec& field,
                            std::size_t most = kMaxSweepValues);

/// A value as a spec would write it: strings bare, everything else as TOML.
std::string spec_text(const Value& value);

}  // namespace xp::recipe
