#include "core/report/words.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

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

// What is gained: the difference turned so that better is positive.
double gain(const Comparison& comparison, size_t group, size_t metric) {
  const double difference = comparison.groups[group].contrasts[metric].difference;
  return comparison.metrics[metric].better == Better::kLower ? -difference : difference;
}

double relative_loss(const Comparison& comparison, size_t group, size_t metric) {
  const double base = std::abs(comparison.groups.front().estimates[metric].mean);
  return base > 0 ? -gain(comparison, group, metric) / base : 0;
}

double speed_ratio(const Comparison& comparison, size_t group, size_t speed) {
  return comparison.groups[group].estimates[speed].mean /
         comparison.groups.front().estimates[speed].mean;
}

// "-0.003 mAP", with what its interval says.
std::string price(const Comparison& comparison, size_t group, size_t metric) {
  const Contrast& contrast = comparison.groups[group].contrasts[metric];
  const std::string name(leaf(comparison.metrics[metric].name));
  if (contrast.kind == Contrast::Kind::kNone) return fmt::format("no {} known", name);
  const std::string text = fmt::format("{} {}", signed_text(contrast), name);
  if (!contrast.bounded()) return text;
  return contrast.measurable() ? text : fmt::format("{} (no measurable effect)", text);
}

std::string interval_note(const Comparison& comparison, size_t metric) {
  bool clips = false, bare = false;
  for (size_t g = 1; g < comparison.groups.size(); ++g) {
    const Contrast& contrast = comparison.groups[g].contrasts[metric];
    clips = clips || contrast.kind == Contrast::Kind::kClips;
    bare = bare || contrast.kind == Contrast::Kind::kPlain;
  }
  if (bare) return " One seed each and no interval: these differences may be chance.";
  if (clips) return " One seed each: intervals are over clips and say nothing of other seeds.";
  return "";
}

// One swept number, groups by its size, the smallest is the base.
std::string sweep_words(const Comparison& comparison, size_t quality, size_t speed) {
  const std::string& key = comparison.keys.front();
  const std::string name(leaf(comparison.metrics[quality].name));
  const auto value = [&](size_t g) {
    return tracker::to_text(*comparison.groups[g].values.front());
  };
  const size_t n = comparison.groups.size();
  size_t chosen = npos, fall = npos;
  for (size_t g = 1; g < n; ++g) {
    const Contrast& contrast = comparison.groups[g].contrasts[quality];
    if (contrast.kind == Contrast::Kind::kNone || std::isnan(contrast.difference)) continue;
    const double loss = relative_loss(comparison, g, quality);
    const bool lost = loss > kFallOff && (!contrast.bounded() || contrast.measurable());
    if (lost && fall == npos) fall = g;
    if (!lost) fall = npos;  // it came back: chance, not a fall
    const bool cheap = loss <= kCheap || (contrast.bounded() && !contrast.measurable());
    if (!cheap) continue;
    const bool better =
        chosen == npos ||
        (speed != npos ? speed_ratio(comparison, g, speed) > speed_ratio(comparison, chosen, speed)
                       : gain(comparison, g, quality) > gain(comparison, chosen, quality));
    if (better) chosen = g;
  }
  std::string out;
  if (chosen != npos && speed != npos && speed_ratio(comparison, chosen, speed) > 1) {
    out = fmt::format("{} = {} is {:.2f}x faster than {} at {}", key, value(chosen),
                      speed_ratio(comparison, chosen, speed), value(0),
                      price(comparison, chosen, quality));
  } else if (chosen != npos && speed == npos) {
    out = fmt::format("{} = {} has the best {} of those that cost little: {} against {}", key,
                      value(chosen), name, price(comparison, chosen, quality), value(0));
  } else if (speed != npos && chosen != npos) {
    out = fmt::format("no value of {} is faster than {} at little cost", key, value(0));
  } else {
    out = fmt::format("every value of {} costs more than {:.0f} % of the {} of {}", key,
                      kCheap * 100, name, value(0));
  }
  if (fall != npos) {
    out += fall == 1 ? fmt::format("; from {} on {} falls off", value(fall), name)
                     : fmt::format("; beyond {} {} falls off", value(fall - 1), name);
    out += fmt::format(" ({} at {})", price(comparison, n - 1, quality), value(n - 1));
  } else if (chosen != npos) {
    out += fmt::format("; up to {} there is no fall-off of more than {:.0f} %", value(n - 1),
                       kFallOff * 100);
  }
  return out + "." + interval_note(comparison, quality);
}

std::string pair_words(const Comparison& comparison, size_t quality, size_t speed) {
  std::string out = fmt::format("{} against {}: {}", comparison.groups[1].label,
                                comparison.groups[0].label, price(comparison, 1, quality));
  if (speed != npos && comparison.groups[1].contrasts[speed].kind != Contrast::Kind::kNone) {
    const double ratio = speed_ratio(comparison, 1, speed);
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
    if (fastest != 0)
      out += fmt::format(": {:.2f}x at {}", speed_ratio(comparison, fastest, speed),
                         price(comparison, fastest, quality));
  }
  return out + "." + interval_note(comparison, quality);
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
  return swept ? sweep_words(comparison, quality, speed) : best_words(comparison, quality, speed);
}

}  // namespace xp::report
