#include "core/train/averaging.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/train/hooks.h"
#include "tests/train/loop_fixture.h"

namespace xp::train {
namespace {

TEST(Averaging, TakesTheWeightsThatItsKindNames) {
  struct Row {
    const char* name;
    schema::AveragingOptions options;
    double want;  // weights are the number of completed epochs
  };
  const auto options = [](schema::AveragingKind kind, int64_t first, int64_t last, int64_t every) {
    schema::AveragingOptions o;
    o.kind = kind;
    o.first_epoch = first;
    o.last_epoch = last;
    o.every_epochs = every;
    return o;
  };
  const Row rows[] = {
      {"epochs 2..4", options(schema::AveragingKind::kEpochs, 2, 4, 1), 3},
      {"epochs 3..end", options(schema::AveragingKind::kEpochs, 3, 0, 1), 4.5},
      {"swa from 2 each 2: after 1, 3, 5", options(schema::AveragingKind::kSwa, 2, 0, 2), 3},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const at::Tensor weight = at::zeros({1});
    Averaging averaging(row.options, {{"weight", weight}}, 6);
    for (int64_t epoch = 0; epoch < 6; ++epoch) {
      averaging.before_epoch(epoch);
      weight.fill_(static_cast<double>(epoch + 1));
      averaging.after_step();
      averaging.after_epoch(epoch + 1);
    }
    averaging.exchange();
    EXPECT_NEAR(weight.item<double>(), row.want, 1e-6);
    averaging.exchange();
    EXPECT_DOUBLE_EQ(weight.item<double>(), 6);
  }
}

/// What is left of the start weights after `steps`: they are 1, and 0 from the first step on.
double start_left(bool ramp, double decay, int steps) {
  schema::AveragingOptions options;
  options.kind = schema::AveragingKind::kEma;
  options.ramp = ramp;
  options.decay = decay;
  const at::Tensor weight = at::ones({1}, at::kDouble);
  Averaging averaging(options, {{"weight", weight}}, 1);
  weight.zero_();
  for (int step = 0; step < steps; ++step) averaging.after_step();
  averaging.exchange();
  return weight.item<double>();
}

TEST(Averaging, TheRampForgetsTheStartWeights) {
  for (const int steps : {1, 5, 40}) {
    EXPECT_NEAR(start_left(false, 0.9999, steps), std::pow(0.9999, steps), 1e-12);
    // The product of (1 + t) / (10 + t) over t = 1 .. steps.
    const double product =
        std::exp(std::lgamma(steps + 2.0) + std::lgamma(11.0) - std::lgamma(steps + 11.0));
    EXPECT_NEAR(start_left(true, 0.9999, steps), product, 1e-9 * product);
  }
  EXPECT_NEAR(start_left(true, 0.1, 7), std::pow(0.1, 7), 1e-12) << "a decay below the ramp";
}

}  // namespace
}  // namespace xp::train
