#pragma once

#include "sweeps/sobol.h"
#include "sweeps/strategy.h"

namespace xp::sweeps {

/// The tree-structured Parzen estimator (Bergstra, Bardenet, Bengio, Kegl 2011): the density of the
/// best points, l, and of the others, g, each a mixture of one kernel a point and a uniform one; of
/// kCandidates draws from l the one with the largest l / g. The first kStart points are Sobol's.
class Tpe : public Strategy {
 public:
  static constexpr int64_t kStart = 10;
  static constexpr int kCandidates = 24;

  Tpe(const Space& space, uint64_t seed);
  std::vector<double> propose(int64_t number, int attempt,
                              std::span<const Observation> history) const override;

 private:
  /// How a dimension is modelled.
  struct Way {
    size_t choices = 0;      ///< 0: continuous
    bool unordered = false;  ///< choices without an order: a frequency each
  };

  std::vector<Way> ways_;
  uint64_t seed_;
  Sobol start_;
};

}  // namespace xp::sweeps
