#include "core/metric/metrics.h"

#include <algorithm>
#include <array>
#include <limits>

#include "core/metric/scored.h"

namespace xp::metric {
namespace {

struct Lines : Of, Shown {
#define XP_ASKED(name, function, interval, of, unit, better, rank, shown, help) \
  Metric{#name, of,   Unit::unit, Better::better, rank,                         \
         shown, help, #name,      &(function),    Bounds::interval},
#define XP_WITH(asked, name, function, interval, of, unit, better, rank, shown, help) \
  Metric{#name, of,   Unit::unit, Better::better, rank,                               \
         shown, help, #asked,     &(function),    Bounds::interval},
#define XP_METRIC(name, of, unit, better, rank, shown, help) \
  Metric{#name, of, Unit::unit, Better::better, rank, shown, help, {}, nullptr, Bounds::kNone},
  static constexpr auto kAll = std::to_array<Metric>({
#include "core/metric/metrics.inc"
  });
};

const Metric* line_of(std::string_view name) {
  const auto* const at = std::find_if(Lines::kAll.begin(), Lines::kAll.end(),
                                      [&](const Metric& line) { return line.name == name; });
  return at == Lines::kAll.end() ? nullptr : at;
}

/// What a metric's line says of itself, not of a bound or a variant: "eval.ap/m_0" is the ap of one
/// class.
const Metric* itself(std::string_view name) {
  const std::string_view last = leaf(name);
  return line_of(last.substr(0, last.find('/')));
}

}  // namespace

std::span<const Metric> table() { return Lines::kAll; }

std::vector<const Metric*> ranked() {
  std::vector<const Metric*> out;
  for (const Metric& line : Lines::kAll)
    if (line.rank > 0) out.push_back(&line);
  std::stable_sort(out.begin(), out.end(),
                   [](const Metric* a, const Metric* b) { return a->rank < b->rank; });
  return out;
}

std::string_view leaf(std::string_view name) {
  const size_t slash = name.find('/');
  const size_t dot = name.rfind('.', slash);
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

std::string_view without_endings(std::string_view name) {
  constexpr std::array<std::string_view, 5> kEndings = {"_lo", "_hi", "_std", "_difference_p",
                                                        "_difference"};
  for (bool shorter = true; shorter;) {
    shorter = false;
    for (const std::string_view ending : kEndings) {
      if (!name.ends_with(ending)) continue;
      name.remove_suffix(ending.size());
      shorter = true;
    }
  }
  return name;
}

const Metric* find(std::string_view name) {
  if (const Metric* line = itself(name)) return line;
  const std::string_view last = leaf(name);
  return line_of(without_endings(last.substr(last.find('/') + 1)));
}

Unit unit_of(std::string_view name) {
  const Metric* line = find(name);
  if (line != nullptr) return line->unit;
  // best_mean_epoch/NAME_epoch: which one that was.
  const bool epoch = leaf(name).find('/') != std::string_view::npos && name.ends_with("_epoch");
  return epoch ? Unit::kCount : Unit::kNone;
}

Better better(std::string_view name) {
  const Metric* line = itself(name);
  return line == nullptr ? Better::kUnknown : line->better;
}

int rank_of(std::string_view name) {
  const Metric* line = line_of(leaf(name));
  return line == nullptr || line->rank == 0 ? std::numeric_limits<int>::max() : line->rank;
}

bool is_detail(std::string_view name) {
  const std::string_view last = leaf(name);
  if (last.find('/') != std::string_view::npos) return true;
  if (last != without_endings(last) && !last.ends_with("_difference")) return true;
  const Metric* line = find(name);
  return line != nullptr && (line->shown & Shown::kCompared) == 0;
}

}  // namespace xp::metric
