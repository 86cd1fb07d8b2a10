#include "core/schema/cost.h"

namespace xp::schema {
namespace {

int64_t position_parameters(const ModelOptions& model, const Arch& arch, const Geometry& input,
                            const Grid& grid) {
  const int64_t special = model.token_count();
  if (arch.family != Family::k_passt) return (grid.count() + special) * arch.dim;
  Geometry covered = input;
  if (model.pos_frames > 0) covered.T = model.pos_frames;
  return (grid.f + passt_position_grid(model, covered).t + special) * arch.dim;
}

int64_t head_parameters(const ModelOptions& model, int64_t dim, int64_t classes) {
  if (model.head == Head::kNone || model.aggregator == Aggregator::kNone) return 0;
  return dim * classes + classes + (model.head == Head::kNormLinear ? 2 * dim : 0);
}

}  // namespace

Cost transformer_cost(const ModelOptions& model, const Reductions& reductions,
                      const Geometry& input, int64_t classes) {
  const Arch arch = model.resolved();
  if (!is_transformer(arch.family)) return {};
  const Grid grid = patch_grid(model, input);
  const int64_t patch = arch.patch_f * arch.patch_t, dim = arch.dim;

  Cost cost;
  cost.tokens = grid.count() + model.token_count();
  const int64_t hidden = model.mlp_dim > 0 ? model.mlp_dim : 4 * dim;
  const int64_t block =
      (3 * dim + 3) * dim + (dim + 1) * dim + (2 * dim + 1) * hidden + dim + 4 * dim;
  cost.parameters = model.token_count() * dim + position_parameters(model, arch, input, grid) +
                    (patch + 1) * dim + arch.depth * block + (model.final_norm ? 2 * dim : 0) +
                    head_parameters(model, dim, classes);

  const auto d = static_cast<double>(dim);
  double flop = 2.0 * static_cast<double>(grid.count() * patch) * d;
  int64_t tokens = cost.tokens;
  for (const BlockTokens& one : token_plan(reductions, arch, tokens, model.token_count())) {
    const auto n = static_cast<double>(one.attended);
    flop += 8.0 * n * d * d + 4.0 * n * n * d;  // q, k, v, projection; scores and mixing
    flop += one.flop;
    tokens = one.left;
    flop += 4.0 * static_cast<double>(tokens) * d * static_cast<double>(hidden);
  }
  cost.tokens_out = tokens;
  if (head_parameters(model, dim, classes) > 0) flop += 2.0 * d * static_cast<double>(classes);
  cost.gflop = flop * 1e-9;
  return cost;
}

Cost pool_cost(const ModelOptions& model, const Geometry& input, int64_t classes) {
  Cost cost;
  if (model.resolved().family != Family::k_pool) return cost;
  cost.parameters = (2 * input.F + 1) * classes;
  cost.gflop = 1e-9 * static_cast<double>(2 * input.F * (2 * input.T + 2 * classes));
  return cost;
}

}  // namespace xp::schema
