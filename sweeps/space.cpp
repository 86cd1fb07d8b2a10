#include "sweeps/space.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/recipe/language.h"

namespace xp::sweeps {

using recipe::Value;

bool Space::has_ranges() const {
  return std::any_of(dimensions.begin(), dimensions.end(),
                     [](const Dimension& dimension) { return dimension.choices == 0; });
}

double Space::size() const {
  double out = 1;
  for (const Dimension& dimension : dimensions) {
    out *= dimension.choices == 0 ? std::numeric_limits<double>::infinity()
                                  : static_cast<double>(dimension.choices);
  }
  return out;
}

namespace {

Axis make_axis(const recipe::Language& language, const std::string& key, const std::string& spec) {
  const recipe::FieldSpec* field = language.find_key(key);
  if (field == nullptr)
    throw Error(fmt::format("--param {}: there is no such key{}", key, language.hint_for(key)));
  if (key == "experiment.seed")
    throw Error(
        "--param experiment.seed: seeds are not swept; --seeds N makes N of them for each trial");
  try {
    return {key, spec, recipe::parse_sweep_spec(spec, *field)};
  } catch (const Error& error) {
    throw Error(fmt::format("--param {}={}: {}", key, spec, error.message()));
  }
}

std::vector<size_t> zipped_axes(const Space& space, const std::vector<std::string>& keys) {
  std::vector<size_t> out;
  for (const std::string& key : keys) {
    const auto at = std::find_if(space.axes.begin(), space.axes.end(),
                                 [&key](const Axis& axis) { return axis.key == key; });
    if (at == space.axes.end()) {
      std::vector<std::string> names;
      for (const Axis& axis : space.axes) names.push_back(axis.key);
      const std::string near = nearest(key, names);
      throw Error(fmt::format("zip: '{}' is not swept{}", key, did_you_mean(near)));
    }
    if (at->spec.is_range())
      throw Error(fmt::format(
          "zip: {}={} is a range to draw from; only lists of values go forward together", at->key,
          at->text));
    out.push_back(static_cast<size_t>(at - space.axes.begin()));
  }
  return out;
}

void check_lengths(const Space& space, const std::vector<size_t>& axes) {
  for (const size_t i : axes) {
    const Axis& first = space.axes[axes.front()];
    const Axis& axis = space.axes[i];
    if (axis.spec.values.size() == first.spec.values.size()) continue;
    throw Error(fmt::format("zip: {} has {} values and {} has {}; zipped keys need equally many",
                            first.key, first.spec.values.size(), axis.key,
                            axis.spec.values.size()));
  }
}

Value rounded(double value) {
  return Value(std::strtod(fmt::format("{:.6g}", value).c_str(), nullptr));
}

Value from_range(const recipe::SweepSpec& spec, double u) {
  switch (spec.kind) {
    case recipe::SweepSpec::Kind::kLogUniform:
      return rounded(std::exp(std::log(spec.low) + u * (std::log(spec.high) - std::log(spec.low))));
    case recipe::SweepSpec::Kind::kInt: {
      const double n = spec.high - spec.low + 1;
      const double step = std::min(std::floor(u * n), n - 1);
      return Value(static_cast<int64_t>(spec.low) + static_cast<int64_t>(step));
    }
    default:
      return rounded(spec.low + u * (spec.high - spec.low));
  }
}

size_t choice(size_t choices, double u) {
  return std::min(choices - 1, static_cast<size_t>(u * static_cast<double>(choices)));
}

}  // namespace

Space make_space(const recipe::Language& language,
                 const std::vector<std::pair<std::string, std::string>>& params,
                 const std::vector<std::vector<std::string>>& zip) {
  Space out;
  for (const auto& [key, spec] : params) {
    for (const Axis& axis : out.axes) {
      if (axis.key == key) throw Error(fmt::format("--param {}: given twice", key));
    }
    out.axes.push_back(make_axis(language, key, spec));
  }
  std::map<size_t, size_t> group_of;  // axis -> group of zip
  std::vector<std::vector<size_t>> groups;
  for (const std::vector<std::string>& keys : zip) {
    groups.push_back(zipped_axes(out, keys));
    check_lengths(out, groups.back());
    for (const size_t axis : groups.back()) {
      if (!group_of.emplace(axis, groups.size() - 1).second)
        throw Error(fmt::format("zip: {} is zipped twice", out.axes[axis].key));
    }
  }
  for (size_t i = 0; i < out.axes.size(); ++i) {
    const auto group = group_of.find(i);
    if (group == group_of.end()) {
      out.dimensions.push_back(
          {{i}, out.axes[i].spec.is_range() ? 0 : out.axes[i].spec.values.size()});
    } else if (*std::min_element(groups[group->second].begin(), groups[group->second].end()) == i) {
      out.dimensions.push_back({groups[group->second], out.axes[i].spec.values.size()});
    }
  }
  return out;
}

std::vector<Point> grid(const Space& space) {
  for (const Axis& axis : space.axes) {
    if (axis.spec.is_range())
      throw Error(fmt::format(
          "{}={} is a range to draw from: a grid needs values (a:b:step, x,y, lin, log); or "
          "choose --strategy random, sobol, tpe or asha with --trials N",
          axis.key, axis.text));
  }
  XP_CHECK(space.size() <= 1e7, "a grid that nobody asked about");
  std::vector<Point> out(1, Point(space.axes.size()));
  for (const Dimension& dimension : space.dimensions) {
    std::vector<Point> longer;
    longer.reserve(out.size() * dimension.choices);
    for (const Point& point : out) {
      for (size_t i = 0; i < dimension.choices; ++i) {
        longer.push_back(point);
        for (const size_t axis : dimension.axes)
          longer.back()[axis] = space.axes[axis].spec.values[i];
      }
    }
    out = std::move(longer);
  }
  return out;
}

Point point_at(const Space& space, std::span<const double> place) {
  XP_CHECK(place.size() == space.dimensions.size(), "a place of another space");
  Point out(space.axes.size());
  for (size_t d = 0; d < place.size(); ++d) {
    const Dimension& dimension = space.dimensions[d];
    for (const size_t axis : dimension.axes) {
      const recipe::SweepSpec& spec = space.axes[axis].spec;
      out[axis] = dimension.choices == 0 ? from_range(spec, place[d])
                                         : spec.values[choice(dimension.choices, place[d])];
    }
  }
  return out;
}

std::string set_text(const Value& value) {
  const auto* text = value.get<std::string>();
  return text != nullptr ? *text : recipe::to_toml(value);
}

std::string point_text(const Space& space, const Point& point) {
  std::string out;
  for (size_t i = 0; i < point.size(); ++i)
    out += fmt::format("{}{} = {}", i == 0 ? "" : ", ", space.axes[i].key,
                       recipe::spec_text(point[i]));
  return out;
}

}  // namespace xp::sweeps
