// The plan of token merging that the recipe check, the cost and `--check` show is what the model
// does.
#include <random>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "core/model/registry.h"
#include "core/schema/cost.h"
#include "core/schema/geometry.h"

namespace xp::model {
namespace {

class Dice {
 public:
  explicit Dice(uint32_t seed) : engine_(seed) {}
  int64_t from(int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(engine_);
  }
  bool heads() { return from(0, 1) == 1; }

 private:
  std::mt19937 engine_;
};

schema::ModelOptions random_model(Dice& dice) {
  const bool passt = dice.heads();
  auto options =
      schema::ModelOptions::of_kind(passt ? schema::Family::k_passt : schema::Family::k_ast);
  options.arch = passt ? "passt-s" : "ast-tiny224";
  options.dim = 8;
  options.heads = 2;
  options.depth = dice.from(1, 5);
  options.fstride = dice.from(8, 16);
  options.tstride = dice.from(8, 16);
  return options;
}

schema::TomeOptions random_tome(Dice& dice, int64_t depth) {
  schema::TomeOptions tome;
  tome.protect_dist = dice.heads();
  tome.r.is_list = dice.from(0, 2) == 0;
  if (tome.r.is_list) {
    for (int64_t i = dice.from(1, depth); i > 0; --i) tome.r.list.push_back(dice.from(0, 20));
  } else {
    tome.r.value = dice.from(1, 40);
    tome.inflection = static_cast<double>(dice.from(-10, 10)) / 10;
  }
  return tome;
}

/// Reducers that stop after `blocks` blocks.
class Until final : public Reducer {
 public:
  Until(std::shared_ptr<const Reducer> reducer, int64_t blocks)
      : reducer_(std::move(reducer)), blocks_(blocks) {}
  bool acts_in(int64_t block) const override { return block < blocks_ && reducer_->acts_in(block); }
  bool proportional() const override { return reducer_->proportional(); }
  void reduce(Tokens& tokens, Attended& attended, int64_t block) const override {
    reducer_->reduce(tokens, attended, block);
  }

 private:
  std::shared_ptr<const Reducer> reducer_;
  int64_t blocks_;
};

int64_t tokens_after(const Model& model, const at::Tensor& mel, const Reducers& reducers,
                     int64_t blocks) {
  Reducers some;
  for (const auto& reducer : reducers) some.push_back(std::make_shared<Until>(reducer, blocks));
  Pass pass;
  pass.reducers = &some;
  pass.want_tokens = true;
  return model.forward(Input::whole(mel), pass).tokens.size(1);
}

TEST(MergePlan, IsWhatTheModelDoes) {
  const at::NoGradGuard no_grad;
  Dice dice(20);
  int64_t clamped = 0;
  for (int round = 0; round < 60; ++round) {
    const schema::ModelOptions options = random_model(dice);
    const schema::Arch arch = options.resolved();
    const schema::Reductions reductions{.tome = random_tome(dice, arch.depth)};
    const Geometry size{dice.from(16, 48), dice.from(16, 120)};
    const auto model =
        make_model({.options = options, .geometry = size, .classes = 3, .reductions = reductions});
    const at::Tensor mel = at::randn({2, size.F, size.T});
    const int64_t tokens = schema::patch_grid(options, size).count() + options.token_count();
    const std::vector<schema::BlockTokens> plan =
        schema::token_plan(reductions, arch, tokens, options.token_count());
    ASSERT_EQ(static_cast<int64_t>(plan.size()), arch.depth);
    ASSERT_EQ(model->depth(), arch.depth);
    const Reducers reducers = make_reducers(reductions, arch.depth);
    for (size_t block = 0; block < plan.size(); ++block) {
      EXPECT_EQ(tokens_after(*model, mel, reducers, static_cast<int64_t>(block) + 1),
                plan[block].left)
          << "round " << round << ", block " << block;
      clamped += plan[block].clamped ? 1 : 0;
    }
    Pass own;
    own.want_tokens = true;
    EXPECT_EQ(model->forward(Input::whole(mel), own).tokens.size(1), plan.back().left);
    EXPECT_EQ(schema::transformer_cost(options, reductions, size, 3).tokens_out, plan.back().left);
  }
  EXPECT_GT(clamped, 10) << "the rounds ask for more than there is";
}

}  // namespace
}  // namespace xp::model
