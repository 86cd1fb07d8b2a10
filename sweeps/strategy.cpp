#include "sweeps/strategy.h"

#include "core/base/error.h"
#include "core/base/rng.h"
#include "sweeps/sobol.h"
#include "sweeps/tpe.h"

namespace xp::sweeps {
namespace {

class Random : public Strategy {
 public:
  Random(const Space& space, uint64_t seed) : dimensions_(space.dimensions.size()), seed_(seed) {}

  std::vector<double> propose(int64_t number, int attempt,
                              std::span<const Observation>) const override {
    Rng rng(seed_, "sweep random", static_cast<uint64_t>(number), static_cast<uint64_t>(attempt));
    std::vector<double> out;
    for (size_t d = 0; d < dimensions_; ++d) out.push_back(rng.uniform());
    return out;
  }

 private:
  size_t dimensions_;
  uint64_t seed_;
};

class SobolPoints : public Strategy {
 public:
  SobolPoints(const Space& space, uint64_t seed)
      : sobol_(static_cast<int>(space.dimensions.size()), seed), random_(space, seed) {}

  std::vector<double> propose(int64_t number, int attempt,
                              std::span<const Observation> history) const override {
    if (attempt > 0) return random_.propose(number, attempt, history);
    return sobol_.point(static_cast<uint64_t>(number - 1));
  }

 private:
  Sobol sobol_;
  Random random_;
};

}  // namespace

std::unique_ptr<Strategy> make_strategy(std::string_view name, const Space& space, uint64_t seed) {
  if (space.dimensions.empty()) throw Error("there is nothing to propose: no key is swept");
  if (name == "random") return std::make_unique<Random>(space, seed);
  if (name == "tpe") return std::make_unique<Tpe>(space, seed);
  XP_CHECK(name == "sobol" || name == "asha",
           "a strategy that proposes nothing: " + std::string(name));
  return std::make_unique<SobolPoints>(space, seed);
}

}  // namespace xp::sweeps
