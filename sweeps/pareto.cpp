#include "sweeps/pareto.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace xp::sweeps {
namespace {

double ordered(double loss) {
  return std::isnan(loss) ? std::numeric_limits<double>::infinity() : loss;
}

// The ends of a layer come first, then who has the widest gap around itself.
std::vector<double> crowding(const std::vector<Losses>& all, const std::vector<size_t>& layer) {
  std::vector<double> out(layer.size(), 0);
  const size_t objectives = all.empty() ? 0 : all.front().size();
  std::vector<size_t> order(layer.size());
  for (size_t k = 0; k < objectives; ++k) {
    std::iota(order.begin(), order.end(), size_t{0});
    const auto loss = [&](size_t i) { return ordered(all[layer[i]][k]); };
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return loss(a) < loss(b); });
    const double width = loss(order.back()) - loss(order.front());
    out[order.front()] = out[order.back()] = std::numeric_limits<double>::infinity();
    if (!(width > 0) || std::isinf(width)) continue;
    for (size_t i = 1; i + 1 < order.size(); ++i)
      out[order[i]] += (loss(order[i + 1]) - loss(order[i - 1])) / width;
  }
  return out;
}

}  // namespace

bool dominates(const Losses& a, const Losses& b) {
  bool better = false;
  for (size_t k = 0; k < a.size(); ++k) {
    const double x = ordered(a[k]), y = ordered(b[k]);
    if (x > y) return false;
    better = better || x < y;
  }
  return better;
}

std::vector<size_t> pareto_layers(const std::vector<Losses>& all) {
  constexpr size_t kNone = std::numeric_limits<size_t>::max();
  std::vector<size_t> out(all.size(), kNone);
  size_t placed = 0;
  for (size_t layer = 0; placed < all.size(); ++layer) {
    std::vector<size_t> front;
    for (size_t i = 0; i < all.size(); ++i) {
      if (out[i] != kNone) continue;
      bool beaten = false;
      for (size_t j = 0; j < all.size() && !beaten; ++j)
        beaten = out[j] == kNone && dominates(all[j], all[i]);
      if (!beaten) front.push_back(i);
    }
    for (const size_t i : front) out[i] = layer;
    placed += front.size();
  }
  return out;
}

std::vector<size_t> best_first(const std::vector<Losses>& all) {
  const std::vector<size_t> layers = pareto_layers(all);
  size_t last = 0;
  for (const size_t layer : layers) last = std::max(last, layer);
  std::vector<size_t> out;
  for (size_t layer = 0; layer <= last && out.size() < all.size(); ++layer) {
    std::vector<size_t> members;
    for (size_t i = 0; i < all.size(); ++i) {
      if (layers[i] == layer) members.push_back(i);
    }
    const std::vector<double> lonely = crowding(all, members);
    std::vector<size_t> order(members.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return lonely[a] > lonely[b]; });
    for (const size_t i : order) out.push_back(members[i]);
  }
  return out;
}

}  // namespace xp::sweeps
