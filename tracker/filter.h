#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace xp::tracker {

/// A value for one `?`.
struct Binding {
  enum class Type { kInteger, kReal, kText };
  explicit Binding(int64_t value) : type(Type::kInteger), integer(value) {}
  explicit Binding(double value) : type(Type::kReal), real(value) {}
  explicit Binding(std::string value) : type(Type::kText), text(std::move(value)) {}
  Type type;
  int64_t integer = 0;
  double real = 0;
  std::string text;
};

/// A filter or sort key compiled to SQL over index.db. What the user wrote is only ever bound,
/// never spliced.
struct Compiled {
  std::string sql;  ///< an expression over table `run`; parameters are `?`
  std::vector<Binding> bindings;
};

/// What a key of a filter may be.
struct KeyInfo {
  int64_t id = 0;  ///< of index.db's table `key`
  bool param = false;
  bool metric = false;
};

/// Looks a key up; `all` lists every key for the did-you-mean.
struct KeyTable {
  std::function<KeyInfo(std::string_view)> find;
  std::function<std::vector<std::string>()> all;
};

/// The language of docs/filters.md:
///
///   status=done and (tome.r>=16 or tag=kd) and not max(train.val.mAP)<0.4
///
/// Comparisons = != < <= > >= and ~ (contains, any case); `key in (a, b)`; `has(key)`; and, or,
/// not, brackets. A left side is a field (kFields), a parameter, a metric (its last value) or
/// min/max/last/n/nans of a metric. Values are numbers, true, false, bare words, quoted texts, and
/// durations for `age` and `duration` (90s, 30min, 12h, 7d). A run without the key matches no
/// comparison with it. Throws Error (kUsage) with the place in `text`.
Compiled compile_filter(std::string_view text, const KeyTable& keys, int64_t now_ns);

/// "-eval.mAP" or "tome.r" to an ORDER BY term; runs without the value come last.
Compiled compile_sort(std::string_view text, const KeyTable& keys);

/// Fields of a run that filters, sort keys and columns may name.
const std::vector<std::string>& filter_fields();

}  // namespace xp::tracker
