#include "core/model/masked.h"

#include <algorithm>
#include <numeric>
#include <set>

#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/frontend/to_device.h"

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

at::Tensor draw_masks(const MaskSettings& settings, const std::vector<Grid>& grids,
                      const DrawKey& key, int64_t pass) {
  XP_CHECK(grids.size() == key.positions.size(), "one position a clip");
  std::vector<std::vector<int64_t>> lists;
  size_t most = 0;
  for (size_t clip = 0; clip < grids.size(); ++clip) {
    const Grid grid = grids[clip];
    const bool clustered = settings.cluster_max > 0 && grid.f > 1;
    // Of clusters patch 0 is never part, but something has to be masked.
    const int64_t masked =
        std::min(settings.masked, std::max<int64_t>(1, grid.count() - (clustered ? 1 : 0)));
    Rng rng(key.seed, "mask/" + std::to_string(pass), key.epoch,
            static_cast<uint64_t>(key.positions[clip]));
    lists.push_back(clustered && grid.count() > 1 ? clusters(rng, settings, grid, masked)
                                                  : single_patches(rng, grid.count(), masked));
    most = std::max(most, lists.back().size());
  }
  const auto batch = static_cast<int64_t>(lists.size());
  at::Tensor masks = at::full({batch, static_cast<int64_t>(most)}, -1, at::kLong);
  for (int64_t clip = 0; clip < batch; ++clip) {
    const std::vector<int64_t>& list = lists[static_cast<size_t>(clip)];
    std::copy(list.begin(), list.end(), masks.mutable_data_ptr<int64_t>() + clip * masks.size(1));
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

std::vector<Grid> MaskedTrunk::grids_of(const Input& input) const {
  const int64_t rows =
      schema::patches_along(input.spectrograms.mel.size(1), options().patch_f, options().stride_f);
  const Widths by_width = widths(input);
  std::vector<Grid> grids(static_cast<size_t>(input.clips()));
  for (const Widths::Group& group : by_width.groups())
    for (const int64_t clip : group.clips) grids[static_cast<size_t>(clip)] = {rows, group.width};
  return grids;
}

std::vector<MaskedTrunk::Predictions> MaskedTrunk::predict(const Input& input,
                                                           const at::Tensor& masks,
                                                           bool discriminative, bool generative,
                                                           const Pass& pass) const {
  const Widths by_width = widths(input);
  Tokens tokens;
  std::vector<at::Tensor> entering, indices;
  std::vector<Predictions> predictions;
  for (const Widths::Group& group : by_width.groups()) {
    Grid grid;
    const at::Tensor raw = patches(mel_of(input, by_width, group), grid);
    const at::Tensor own = by_width.take(masks, group);
    const int64_t masked = (own[0] >= 0).sum().item<int64_t>();
    const at::Tensor index =
        frontend::to_device(own.narrow(1, 0, masked), raw.device()).unsqueeze(-1);
    at::Tensor hidden = at::zeros({raw.size(0), raw.size(1), 1}, raw.options().dtype(at::kBool));
    hidden.scatter_(1, index, true);
    const at::Tensor embedded = embed_patches(raw);
    entering.push_back(at::where(hidden, mask_embed_.to(embedded.scalar_type()), embedded) +
                       position(grid).unsqueeze(0));
    tokens.runs.push_back({group.size(), grid.count()});
    Predictions of_group;
    of_group.truth = raw.gather(1, index.expand({-1, -1, raw.size(2)})).detach();
    predictions.push_back(of_group);
    indices.push_back(index);
  }
  tokens.x = as_rows(entering);
  encode(tokens, by_width.draws(input), pass);
  for (size_t run = 0; run < predictions.size(); ++run) {
    const at::Tensor all = tokens.of_run(tokens.x, run);
    const at::Tensor x =
        all.gather(1, (indices[run] + tokens.special).expand({-1, -1, all.size(2)}));
    if (discriminative) predictions[run].contrastive = contrastive_(x);
    if (generative) predictions[run].generated = generative_(x);
  }
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
    losses.nce = -logs.diagonal(0, 1, 2).mean(1);
    const at::Tensor found = logs.detach().argmax(1);
    losses.accuracy = (found == at::arange(found.size(1), found.options())).to(at::kFloat).mean(1);
  }
  if (predictions.generated.defined()) {
    losses.mse = (predictions.generated.to(truth.scalar_type()) - truth).square().mean({1, 2});
  }
  return losses;
}

MaskedLosses MaskedTrunk::losses(const Input& input, const at::Tensor& masks, bool discriminative,
                                 bool generative, const Pass& pass) const {
  std::vector<at::Tensor> nce, accuracy, mse;
  for (const Predictions& of_group : predict(input, masks, discriminative, generative, pass)) {
    const MaskedLosses part = masked_losses(of_group);
    nce.push_back(part.nce);
    accuracy.push_back(part.accuracy);
    mse.push_back(part.mse);
  }
  const Widths by_width = widths(input);
  MaskedLosses losses;
  if (discriminative) losses.nce = by_width.restore(nce);
  if (discriminative) losses.accuracy = by_width.restore(accuracy);
  if (generative) losses.mse = by_width.restore(mse);
  return losses;
}

}  // namespace xp::model
