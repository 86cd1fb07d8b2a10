#include "sweeps/halving.h"

#include <algorithm>
#include <cmath>

namespace xp::sweeps {

int64_t Halving::rung(int64_t epoch) const {
  if (epoch < first) return 0;
  int64_t out = first;
  while (out <= epoch / factor) out *= factor;
  return out;
}

bool Halving::goes_on(std::span<const double> losses, double own) const {
  if (std::isnan(own)) return false;
  const auto better =
      std::count_if(losses.begin(), losses.end(), [own](double loss) { return loss < own; });
  const int64_t kept = std::max<int64_t>(1, static_cast<int64_t>(losses.size()) / factor);
  return better < kept;
}

}  // namespace xp::sweeps
