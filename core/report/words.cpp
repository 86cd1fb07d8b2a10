#include "core/report/words.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/report/lines.h"
#include "core/report/table.h"

namespace xp::report {
namespace {

// A loss of quality above this share of the base's value is a fall-off, not a price.
constexpr double kFallOff = 0.02;
// A price that most would pay, of the base's value.
constexpr double kCheap = 0.01;

std::string signed_text(const Contrast& contrast) {
  const double scale =
      contrast.bounded() ? (contrast.interval.high - contrast.interval.low) / 4 : kNaN;
  return (contrast.difference >= 0 ? "+" : "") + number_text(contrast.difference, scale);
}

double speed_ratio(const Comparison& comparison, size_t base, size_t group, size_t speed) {
  return comparison.groups[group].estimates[speed].mean /
         comparison.groups[base].estimates[speed].mean;
}

// "-0.003 mAP", with what its interval says.
std::string price_text(const Comparison& comparison, const Contrast& contrast, size_t metric) {
  const std::string name(leaf(comparison.metrics[metric].name));
  if (contrast.kind == Contrast::Kind::kNone) return fmt::format("no {} known", name);
  std::string text = fmt::format("{} {}", signed_text(contrast), name);
  if (!contrast.bounded()) return text;
  return contrast.measurable() ? text : fmt::format("{} (no measurable effect)", text);
}

std::string price(const Comparison& comparison, size_t group, size_t metric) {
  return price_text(comparison, comparison.groups[group].contrasts[metric], metric);
}

std::string interval_note(const Comparison& comparison, size_t metric) {
  bool clips = false, bare = false;
  for (size_t g = 1; g < comparison.groups.size(); ++g) {
    const Contrast& contrast = comparison.groups[g].contrasts[metric];
    clips = clips || contrast.kind == Contrast::Kind::kClips;
    bare = bare || contrast.kind == Contrast::Kind::kPlain;
  }
  if (bare) return " One seed each and no interval: these differences may be chance.";
  if (clips)
    return " One seed each: intervals are over clips or folds and say nothing of other seeds.";
  return "";
}

// What one swept number costs and brings, by a line of its values; the first is the base. Values
// whose quality was not measured say nothing: they are named, and not counted.
class Sweep {
 public:
  Sweep(const Comparison& comparison, size_t key, const Line& line, size_t quality, size_t speed)
      : comparison_(comparison), key_(key), quality_(quality), speed_(speed) {
    const Group& base = comparison.groups[line.groups.front()];
    for (const size_t g : line.groups) {
      const Group& group = comparison.groups[g];
      if (!group.estimates[quality].known() && &group != &base) {
        unmeasured_.push_back(tracker::to_text(*group.values[key]));
        continue;
      }
      groups_.push_back(g);
      contrasts_.push_back(contrast_between(comparison, base, group, quality));
    }
    if (speed_ != npos && !base.estimates[speed_].known()) speed_ = npos;
    choose();
  }

  std::string text() const {
    return headline() + (unmeasured_.empty() ? ""
                                             : fmt::format(" (no {} of {})",
                                                           leaf(comparison_.metrics[quality_].name),
                                                           fmt::join(unmeasured_, ", ")));
  }

 private:
  std::string headline() const {
    const std::string& key = comparison_.keys[key_];
    const std::string name(leaf(comparison_.metrics[quality_].name));
    if (!comparison_.groups[groups_.front()].estimates[quality_].known())
      return fmt::format("{} = {}, which the others are held against, has no {}", key, value(0),
                         name);
    if (groups_.size() == 1)
      return fmt::format("no value of {} but {} has {}", key, value(0), name);
    std::string out;
    if (chosen_ != npos && speed_ != npos && ratio(chosen_) > 1) {
      out = fmt::format("{} = {} is {:.2f}x faster than {} at {}", key, value(chosen_),
                        ratio(chosen_), value(0), cost(chosen_));
    } else if (chosen_ != npos && speed_ == npos) {
      out = fmt::format("{} = {} has the best {} of those that cost little: {} against {}", key,
                        value(chosen_), name, cost(chosen_), value(0));
    } else if (chosen_ != npos) {
      out = fmt::format("no value of {} is faster than {} at little cost", key, value(0));
    } else if (cheap_) {
      out = fmt::format("of the values of {} that cost little no {} is known", key,
                        leaf(comparison_.metrics[speed_].name));
    } else {
      out = fmt::format("every value of {} costs more than {:.0f} % of the {} of {}", key,
                        kCheap * 100, name, value(0));
    }
    const size_t last = groups_.size() - 1;
    if (fall_ != npos) {
      out += fall_ == 1 ? fmt::format("; from {} on {} falls off", value(fall_), name)
                        : fmt::format("; beyond {} {} falls off", value(fall_ - 1), name);
      return out + fmt::format(" ({} at {})", cost(last), value(last));
    }
    if (chosen_ != npos)
      out += fmt::format("; up to {} there is no fall-off of more than {:.0f} %", value(last),
                         kFallOff * 100);
    return out;
  }

  // The value that is cheap and fastest (or best), and the one from which on quality is lost.
  void choose() {
    for (size_t i = 1; i < groups_.size(); ++i) {
      const Contrast& contrast = contrasts_[i];
      if (contrast.kind == Contrast::Kind::kNone || std::isnan(contrast.difference)) continue;
      const double loss = relative_loss(contrast);
      const bool lost = loss > kFallOff && (!contrast.bounded() || contrast.measurable());
      if (lost && fall_ == npos) fall_ = i;
      if (!lost) fall_ = npos;  // it came back: chance, not a fall
      const bool cheap = loss <= kCheap || (contrast.bounded() && !contrast.measurable());
      if (!cheap) continue;
      cheap_ = true;
      if (speed_ != npos && std::isnan(ratio(i))) continue;
      const bool better =
          chosen_ == npos ||
          (speed_ != npos ? ratio(i) > ratio(chosen_) : gain(contrast) > gain(contrasts_[chosen_]));
      if (better) chosen_ = i;
    }
  }

  // The difference turned so that better is positive.
  double gain(const Contrast& contrast) const {
    return comparison_.metrics[quality_].better == Better::kLower ? -contrast.difference
                                                                  : contrast.difference;
  }
  double relative_loss(const Contrast& contrast) const {
    const double base = std::abs(comparison_.groups[groups_.front()].estimates[quality_].mean);
    return base > 0 ? -gain(contrast) / base : 0;
  }
  double ratio(size_t i) const {
    return speed_ratio(comparison_, groups_.front(), groups_[i], speed_);
  }
  std::string value(size_t i) const {
    return tracker::to_text(*comparison_.groups[groups_[i]].values[key_]);
  }
  std::string cost(size_t i) const { return price_text(comparison_, contrasts_[i], quality_); }

  const Comparison& comparison_;
  size_t key_;
  size_t quality_, speed_;
  std::vector<size_t> groups_;  // of the line, the base first, then those that were measured
  std::vector<std::string> unmeasured_;
  std::vector<Contrast> contrasts_;  // of each of groups_ against the base
  size_t chosen_ = npos, fall_ = npos;
  bool cheap_ = false;  // some value costs little
};

std::string pair_words(const Comparison& comparison, size_t quality, size_t speed) {
  std::string out = fmt::format("{} against {}: {}", comparison.groups[1].label,
                                comparison.groups[0].label, price(comparison, 1, quality));
  if (speed != npos && comparison.groups[1].contrasts[speed].kind != Contrast::Kind::kNone) {
    const double ratio = speed_ratio(comparison, 0, 1, speed);
    const Contrast& contrast = comparison.groups[1].contrasts[speed];
    if (contrast.bounded() && !contrast.measurable()) {
      out += ", no measurable effect on speed";
    } else {
      out += ratio >= 1 ? fmt::format(", {:.2f}x faster", ratio)
                        : fmt::format(", {:.2f}x slower", 1 / ratio);
    }
  }
  return out + "." + interval_note(comparison, quality);
}

std::string best_words(const Comparison& comparison, size_t quality, size_t speed) {
  const size_t best = best_group(comparison, quality);
  if (best == npos) return "";
  std::string out = fmt::format("The best {} has {}: {}", leaf(comparison.metrics[quality].name),
                                comparison.groups[best].label,
                                estimate_text(comparison.groups[best].estimates[quality]));
  if (best != 0)
    out += fmt::format(", {} against {}", price(comparison, best, quality),
                       comparison.groups.front().label);
  const size_t fastest = speed == npos ? npos : best_group(comparison, speed);
  if (fastest != npos && fastest != best) {
    out += fmt::format(". The fastest is {}", comparison.groups[fastest].label);
    if (fastest != 0 && comparison.groups.front().estimates[speed].known())
      out += fmt::format(": {:.2f}x at {}", speed_ratio(comparison, 0, fastest, speed),
                         price(comparison, fastest, quality));
  }
  return out + "." + interval_note(comparison, quality);
}

// A sweep under each of few other settings, and what those settings change where it begins.
std::string crossing_words(const Comparison& comparison, const Crossing& crossing, size_t quality,
                           size_t speed) {
  std::string out;
  for (const Line& line : crossing.lines) {
    out += fmt::format("{}With {}: {}.", out.empty() ? "" : " ", line.name,
                       Sweep(comparison, crossing.key, line, quality, speed).text());
  }
  const Group& base = comparison.groups[crossing.lines.front().groups.front()];
  for (size_t i = 1; i < crossing.lines.size(); ++i) {
    const Group& other = comparison.groups[crossing.lines[i].groups.front()];
    if (base.values[crossing.key] != other.values[crossing.key]) continue;
    const Contrast contrast = contrast_between(comparison, base, other, quality);
    if (contrast.kind == Contrast::Kind::kNone) continue;
    out += fmt::format(" At {} = {}, {} against {}: {}.", comparison.keys[crossing.key],
                       tracker::to_text(*base.values[crossing.key]), crossing.lines[i].name,
                       crossing.lines.front().name, price_text(comparison, contrast, quality));
  }
  return out + interval_note(comparison, quality);
}

std::string same_words(const Comparison& comparison) {
  if (comparison.groups.size() < 2) {
    if (comparison.runs.size() < 2) return "";
    return fmt::format("no difference in configuration: {} runs that differ by seed alone",
                       comparison.runs.size());
  }
  for (const Group& group : comparison.groups) {
    for (const Contrast& contrast : group.contrasts) {
      if (contrast.kind != Contrast::Kind::kNone && contrast.difference != 0)
        return "no difference in configuration; metrics that are not equal differ by chance or by "
               "the machine";
    }
  }
  return "no difference";
}

}  // namespace

std::string plain_words(const Comparison& comparison) {
  if (comparison.same()) return same_words(comparison);
  const size_t quality = comparison.quality();
  const size_t speed = comparison.speed();
  if (quality == npos) return "";
  if (comparison.groups.size() == 2) return pair_words(comparison, quality, speed);
  const bool swept =
      comparison.keys.size() == 1 &&
      std::all_of(comparison.groups.begin(), comparison.groups.end(),
                  [](const Group& group) { return number_of(group.values.front()); });
  if (swept) {
    const std::vector<Line> lines = lines_over(comparison, 0);
    return Sweep(comparison, 0, lines.front(), quality, speed).text() + "." +
           interval_note(comparison, quality);
  }
  const auto crossing = crossing_of(comparison);
  return crossing ? crossing_words(comparison, *crossing, quality, speed)
                  : best_words(comparison, quality, speed);
}

}  // namespace xp::report
