#include "sweeps/tpe.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/rng.h"

namespace xp::sweeps {
namespace {

constexpr double kGoodShare = 0.15;
constexpr size_t kMostGood = 25;

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

// A mixture on [0, 1): uniform with the weight of one point, and a truncated normal at each point
// as wide as the gap to its farther neighbour.
class Kernels {
 public:
  explicit Kernels(std::vector<double> centres) : centres_(std::move(centres)) {
    std::sort(centres_.begin(), centres_.end());
    const size_t n = centres_.size();
    const double narrowest = 1.0 / (1.0 + std::min<double>(100, static_cast<double>(n)));
    for (size_t i = 0; i < n; ++i) {
      const double left = i == 0 ? centres_[i] : centres_[i] - centres_[i - 1];
      const double right = i + 1 == n ? 1 - centres_[i] : centres_[i + 1] - centres_[i];
      widths_.push_back(std::clamp(std::max(left, right), narrowest, 1.0));
    }
  }

  double density(double x) const {
    double sum = 1;
    for (size_t i = 0; i < centres_.size(); ++i) {
      const double z = (x - centres_[i]) / widths_[i];
      const double inside =
          normal_cdf((1 - centres_[i]) / widths_[i]) - normal_cdf(-centres_[i] / widths_[i]);
      sum += std::exp(-0.5 * z * z) / (widths_[i] * std::sqrt(2 * M_PI) * inside);
    }
    return sum / static_cast<double>(centres_.size() + 1);
  }

  double draw(Rng& rng) const {
    const uint64_t which = rng.below(centres_.size() + 1);
    if (which == centres_.size()) return rng.uniform();
    while (true) {  // a centre lies inside, so at least a third of the draws do
      const double x = centres_[which] + widths_[which] * rng.normal();
      if (x >= 0 && x < 1) return x;
    }
  }

 private:
  std::vector<double> centres_, widths_;
};

// Frequencies with one count spread over all choices.
class Frequencies {
 public:
  Frequencies(size_t choices, const std::vector<double>& places)
      : counts_(choices, 1.0 / static_cast<double>(choices)) {
    for (const double place : places) ++counts_[index(place)];
    total_ = static_cast<double>(places.size()) + 1;
  }

  size_t index(double place) const {
    return std::min(counts_.size() - 1,
                    static_cast<size_t>(place * static_cast<double>(counts_.size())));
  }
  double density(double place) const { return counts_[index(place)] / total_; }
  double draw(Rng& rng) const {
    double at = rng.uniform() * total_;
    size_t i = 0;
    while (i + 1 < counts_.size() && at >= counts_[i]) at -= counts_[i++];
    return (static_cast<double>(i) + 0.5) / static_cast<double>(counts_.size());
  }

 private:
  std::vector<double> counts_;
  double total_ = 0;
};

}  // namespace

Tpe::Tpe(const Space& space, uint64_t seed)
    : seed_(seed), start_(static_cast<int>(space.dimensions.size()), seed) {
  for (const Dimension& dimension : space.dimensions) {
    Way way;
    way.choices = dimension.choices;
    for (const size_t axis : dimension.axes) {
      for (const recipe::Value& value : space.axes[axis].spec.values)
        way.unordered =
            way.unordered || (value.get<int64_t>() == nullptr && value.get<double>() == nullptr);
    }
    ways_.push_back(way);
  }
}

std::vector<double> Tpe::propose(int64_t number, int attempt,
                                 std::span<const Observation> history) const {
  std::vector<const Observation*> known;
  std::vector<Losses> losses;
  for (const Observation& observation : history) {
    if (observation.losses.empty() || observation.place.size() != ways_.size()) continue;
    known.push_back(&observation);
    losses.push_back(observation.losses);
  }
  Rng rng(seed_, "sweep tpe", static_cast<uint64_t>(number), static_cast<uint64_t>(attempt));
  if (number <= kStart || static_cast<int64_t>(known.size()) < kStart / 2) {
    if (attempt == 0) return start_.point(static_cast<uint64_t>(number - 1));
    std::vector<double> out;
    for (size_t d = 0; d < ways_.size(); ++d) out.push_back(rng.uniform());
    return out;
  }
  const std::vector<size_t> order = best_first(losses);
  const size_t good = std::clamp<size_t>(
      static_cast<size_t>(std::ceil(kGoodShare * static_cast<double>(known.size()))), 2, kMostGood);
  std::vector<std::vector<double>> candidates(kCandidates, std::vector<double>(ways_.size()));
  std::vector<double> score(kCandidates, 0);
  for (size_t d = 0; d < ways_.size(); ++d) {
    const Way& way = ways_[d];
    // A choice stands in the middle of its interval.
    const auto centre = [&way](double place) {
      if (way.choices == 0) return place;
      const auto n = static_cast<double>(way.choices);
      return (std::min(std::floor(place * n), n - 1) + 0.5) / n;
    };
    std::vector<double> best, rest;
    for (size_t i = 0; i < order.size(); ++i)
      (i < good ? best : rest).push_back(centre(known[order[i]]->place[d]));
    const auto add = [&](const auto& l, const auto& g) {
      for (int c = 0; c < kCandidates; ++c) {
        const double place = l.draw(rng);
        candidates[c][d] = place;
        score[c] += std::log(l.density(centre(place))) - std::log(g.density(centre(place)));
      }
    };
    if (way.unordered) {
      add(Frequencies(way.choices, best), Frequencies(way.choices, rest));
    } else {
      add(Kernels(best), Kernels(rest));
    }
  }
  // Where the best was tried already, the next best is the next attempt's own draw.
  return candidates[static_cast<size_t>(std::max_element(score.begin(), score.end()) -
                                        score.begin())];
}

}  // namespace xp::sweeps
