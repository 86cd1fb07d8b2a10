#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "sweeps/pareto.h"
#include "sweeps/space.h"

namespace xp::sweeps {

/// A point that ended, as a strategy sees it.
struct Observation {
  int64_t point = 0;
  std::vector<double> place;
  Losses losses;  ///< means over seeds; empty where no trial of the point was done
};

/// Proposes points. Its state is (seed, table of trials) and nothing else: `propose` is a pure
/// function, so an interrupted sweep goes on with the proposals that it would have made.
class Strategy {
 public:
  virtual ~Strategy() = default;
  /// The place of proposal `number` (from 1). `attempt` counts from 0 where the point of an earlier
  /// attempt is one that is there already. `history`: ended points by number.
  virtual std::vector<double> propose(int64_t number, int attempt,
                                      std::span<const Observation> history) const = 0;
};

/// "random", "sobol", "tpe" (Bergstra et al. 2011; several objectives by non-dominated layers), or
/// "asha", whose proposals are those of sobol. Throws Error for a space that the strategy cannot
/// take.
std::unique_ptr<Strategy> make_strategy(std::string_view name, const Space& space, uint64_t seed);

}  // namespace xp::sweeps
