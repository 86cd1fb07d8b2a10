#include "core/train/predict.h"

#include <algorithm>
#include <cmath>
#include <span>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "core/base/error.h"
#include "core/dist/group.h"
#include "core/metric/metric.h"
#include "core/train/device.h"
#include "core/train/loss.h"

namespace xp::train {
namespace {

std::span<const float> values_of(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  return {tensor.data_ptr<float>(), static_cast<size_t>(tensor.numel())};
}

/// Mean output of the models on spectrograms of one kind.
at::Tensor run(const std::vector<const model::Model*>& models, const at::Tensor& mel,
               const PredictOptions& how) {
  at::Tensor sum;
  for (const model::Model* model : models) {
    const Autocast autocast(how.device, how.precision);
    const model::Output output = model->forward(mel, {});
    const at::Tensor values = (how.embeddings ? output.embedding : output.logits).to(at::kFloat);
    sum = sum.defined() ? sum + values : values;
  }
  return models.size() == 1 ? sum : sum / static_cast<double>(models.size());
}

/// Outputs of a batch: of the clips as they are, or the mean over windows of each.
at::Tensor run_batch(const std::vector<const model::Model*>& models,
                     const frontend::Frontend& frontend, int64_t rate_hz, const data::Batch& batch,
                     const PredictOptions& how) {
  const at::Tensor waves = waves_of(batch, how.device);
  const auto window = static_cast<int64_t>(how.window_s * static_cast<double>(rate_hz));
  if (window <= 0 || batch.samples <= window)
    return run(models, frontend.forward(waves, batch.lengths), how);
  const double hop_s = how.window_hop_s > 0 ? how.window_hop_s : how.window_s / 2;
  const auto hop = std::max<int64_t>(1, static_cast<int64_t>(hop_s * static_cast<double>(rate_hz)));
  std::vector<at::Tensor> means;
  for (int64_t clip = 0; clip < batch.size; ++clip) {
    const int64_t length = batch.lengths[static_cast<size_t>(clip)];
    std::vector<at::Tensor> outputs;
    std::vector<at::Tensor> pieces;
    std::vector<int64_t> lengths;
    const auto flush = [&] {
      outputs.push_back(run(models, frontend.forward(at::stack(pieces), lengths), how));
      pieces.clear();
      lengths.clear();
    };
    // The last window is the one that reaches the end of the clip.
    for (int64_t begin = 0;; begin += hop) {
      const int64_t count = std::min(window, length - begin);
      at::Tensor piece = waves[clip].narrow(0, begin, std::max<int64_t>(1, count));
      pieces.push_back(at::constant_pad_nd(piece, {0, window - piece.size(0)}));
      lengths.push_back(piece.size(0));
      const bool end = begin + window >= length;
      if (end || static_cast<int64_t>(pieces.size()) == how.batch_size) flush();
      if (end) break;
    }
    means.push_back(at::cat(outputs).mean(0));
  }
  return at::stack(means);
}

}  // namespace

Predictions predict(const std::vector<const model::Model*>& models,
                    const frontend::Frontend& frontend, const schema::FrontendOptions& options,
                    const Clips& clips, const std::vector<uint32_t>& rows,
                    const PredictOptions& how) {
  XP_CHECK(!models.empty(), "predict without a model");
  const at::NoGradGuard no_grad;
  const auto total = static_cast<int64_t>(rows.size());
  const int64_t rank = how.group == nullptr ? 0 : how.group->rank();
  const int64_t world = how.group == nullptr ? 1 : how.group->size();
  const std::vector<uint32_t> mine(rows.begin() + total * rank / world,
                                   rows.begin() + total * (rank + 1) / world);
  EvaluationBatches batches(clips, mine, options, how.batch_size, how.workers);
  std::vector<at::Tensor> outputs, targets, masks;
  int64_t done = 0;
  while (const auto batch = batches.next()) {
    how.check();
    outputs.push_back(run_batch(models, frontend, options.rate_hz, *batch, how).cpu());
    // Labels live in the loader's memory, which goes back to its pool.
    targets.push_back(labels_of(*batch, at::kCPU).clone());
    if (batch->mask != nullptr) masks.push_back(mask_of(*batch, at::kCPU).clone());
    done += batch->size;
    how.progress(done * world, total);
  }
  const auto joined = [&](const std::vector<at::Tensor>& parts, int64_t width) {
    at::Tensor all = parts.empty() ? at::zeros({0, width}) : at::cat(parts);
    if (how.group != nullptr) all = how.group->gather_rows(all);
    return all.contiguous();
  };
  Predictions result;
  const int64_t width = how.embeddings ? models[0]->embedding_size() : clips.classes();
  (how.embeddings ? result.embeddings : result.logits) = joined(outputs, width);
  result.targets = joined(targets, clips.classes());
  if (clips.shards->masked()) result.mask = joined(masks, clips.classes());
  return result;
}

std::map<std::string, double> score(const Predictions& predictions, schema::Loss loss) {
  std::map<std::string, double> values;
  if (predictions.logits.size(0) == 0) return values;
  const at::NoGradGuard no_grad;
  const schema::Loss kind =
      loss == schema::Loss::kMaskedBce && !predictions.mask.defined() ? schema::Loss::kBce : loss;
  values["loss"] =
      label_loss(kind, predictions.logits, predictions.targets, predictions.mask).item<double>();
  const metric::Table table{values_of(predictions.logits), values_of(predictions.targets),
                            values_of(predictions.mask), predictions.logits.size(0),
                            predictions.logits.size(1)};
  const metric::Summary summary = metric::summarise(metric::per_class(table));
  values["mAP"] = summary.map;
  values["mAP_all"] = summary.map_all;
  values["mAP_classes"] = static_cast<double>(summary.map_classes);
  values["auc"] = summary.auc;
  values["d_prime"] = summary.d_prime;
  values["acc"] = metric::accuracy(table);
  std::erase_if(values, [](const auto& entry) { return std::isnan(entry.second); });
  return values;
}

}  // namespace xp::train
