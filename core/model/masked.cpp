#include "core/model/masked.h"

#include <algorithm>
#include <numeric>
#include <set>

#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include "core/base/error.h"
#include "core/base/rng.h"

namespace xp::model {
namespace {

std::vector<int64_t> single_patches(Rng& rng, int64_t patches, int64_t masked) {
  std::vector<int64_t> all(static_cast<size_t>(patches));
  std::iota(all.begin(), all.end(), int64_t{0});
  for (int64_t i = 0; i < masked; ++i) {
    const auto other = static_cast<size_t>(i) + rng.below(static_cast<uint64_t>(patches - i));
    std::swap(all[static_cast<size_t>(i)], all[other]);
  }
  all.resize(static_cast<size_t>(masked));
  return all;
}

std::vector<int64_t> clusters(Rng& rng, const MaskSettings& settings, Grid grid, int64_t masked) {
  const int64_t patches = grid.count();
  const auto sides = static_cast<uint64_t>(settings.cluster_max - settings.cluster_min + 1);
  const int64_t side = settings.cluster_min + static_cast<int64_t>(rng.below(sides));
  std::set<int64_t> chosen;
  while (static_cast<int64_t>(chosen.size()) <= masked) {
    // Patch 0 is never masked, so a quota of all others is reached exactly.
    if (static_cast<int64_t>(chosen.size()) >= patches - 1) break;
    const int64_t start = static_cast<int64_t>(rng.below(static_cast<uint64_t>(patches)));
    for (int64_t row = 0; row < side; ++row) {
      for (int64_t column = 0; column < side; ++column) {
        const int64_t place = start + grid.t * row + column;
        if (place > 0 && place < patches) chosen.insert(place);
      }
    }
  }
  std::vector<int64_t> list(chosen.begin(), chosen.end());
  list.resize(static_cast<size_t>(std::min<int64_t>(masked, static_cast<int64_t>(list.size()))));
  return list;
}

}  // namespace

at::Tensor draw_masks(const MaskSettings& settings, Grid grid, const DrawKey& key, int64_t pass) {
  const bool clustered = settings.cluster_max > 0 && grid.f > 1;
  const int64_t masked = std::min(settings.masked, clustered ? grid.count() - 1 : grid.count());
  const auto batch = static_cast<int64_t>(key.positions.size());
  at::Tensor masks = at::empty({batch, masked}, at::kLong);
  for (int64_t clip = 0; clip < batch; ++clip) {
    Rng rng(key.seed, "mask/" + std::to_string(pass), key.epoch,
            static_cast<uint64_t>(key.positions[static_cast<size_t>(clip)]));
    const std::vector<int64_t> list = clustered ? clusters(rng, settings, grid, masked)
                                                : single_patches(rng, grid.count(), masked);
    std::copy(list.begin(), list.end(), masks.mutable_data_ptr<int64_t>() + clip * masked);
  }
  return masks;
}

MaskedTrunk::Predictor::Predictor(int64_t dim, int64_t patch, const Init& init)
    : hidden_(dim, dim, Part::kPrediction, init.child("0")),
      out_(dim, patch, Part::kPrediction, init.child("2")) {}

at::Tensor MaskedTrunk::Predictor::operator()(const at::Tensor& x) const {
  return out_(at::relu(hidden_(x)));
}

void MaskedTrunk::Predictor::members(Members& list) {
  list.child("0", hidden_);
  list.child("2", out_);
}

MaskedTrunk::MaskedTrunk(const TrunkOptions& options, const Init& init)
    : Trunk(options, init),
      mask_embed_(init.mask_embed(options.dim)),
      contrastive_(options.dim, options.patch_f * options.patch_t, init.child("cpredlayer")),
      generative_(options.dim, options.patch_f * options.patch_t, init.child("gpredlayer")) {}

void MaskedTrunk::members(Members& list) {
  Trunk::members(list);
  list.parameter("mask_embed", mask_embed_);
  list.child("cpredlayer", contrastive_);
  list.child("gpredlayer", generative_);
}

Grid MaskedTrunk::grid_of(const at::Tensor& mel) const {
  Grid grid;
  patches(mel, grid);
  return grid;
}

MaskedTrunk::Predictions MaskedTrunk::predict(const at::Tensor& mel, const at::Tensor& masks,
                                              bool discriminative, bool generative,
                                              const ForwardContext& context) const {
  Tokens tokens;
  const at::Tensor raw = patches(mel, tokens.grid);
  const at::Tensor index = masks.to(mel.device()).unsqueeze(-1);
  at::Tensor hidden = at::zeros({raw.size(0), raw.size(1), 1}, mel.options().dtype(at::kBool));
  hidden.scatter_(1, index, true);
  const at::Tensor embedded = embed_patches(raw);
  tokens.x = at::where(hidden, mask_embed_.to(embedded.scalar_type()), embedded) +
             position(tokens.grid).unsqueeze(0);
  encode(tokens, context);

  const at::Tensor places = (index + tokens.special).expand({-1, -1, tokens.x.size(2)});
  const at::Tensor x = tokens.x.gather(1, places);
  Predictions predictions;
  predictions.truth = raw.gather(1, index.expand({-1, -1, raw.size(2)})).detach();
  if (discriminative) predictions.contrastive = contrastive_(x);
  if (generative) predictions.generated = generative_(x);
  return predictions;
}

MaskedLosses masked_losses(const MaskedTrunk::Predictions& predictions) {
  MaskedLosses losses;
  const at::Tensor truth =
      predictions.truth.to(at::promote_types(predictions.truth.scalar_type(), at::kFloat));
  if (predictions.contrastive.defined()) {
    // scores[b, i, j]: true patch i against prediction j. The softmax is over the predictions; the
    // accuracy takes, for each prediction, the true patch with the highest of those probabilities.
    const at::Tensor scores =
        at::bmm(truth, predictions.contrastive.to(truth.scalar_type()).transpose(1, 2));
    const at::Tensor logs = at::log_softmax(scores, -1);
    losses.nce = -logs.diagonal(0, 1, 2).mean();
    const at::Tensor found = logs.detach().argmax(1);
    losses.accuracy = (found == at::arange(found.size(1), found.options())).to(at::kFloat).mean();
  }
  if (predictions.generated.defined()) {
    losses.mse = at::mse_loss(predictions.generated.to(truth.scalar_type()), truth);
  }
  return losses;
}

MaskedLosses MaskedTrunk::losses(const at::Tensor& mel, const at::Tensor& masks,
                                 bool discriminative, bool generative,
                                 const ForwardContext& context) const {
  return masked_losses(predict(mel, masks, discriminative, generative, context));
}

}  // namespace xp::model
