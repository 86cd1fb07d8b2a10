#include "core/evaluate/predict.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/dist/device.h"
#include "core/dist/group.h"
#include "core/evaluate/loss.h"
#include "core/evaluate/windows.h"
#include "core/metric/scored.h"

namespace xp::evaluate {
namespace {

std::span<const float> values_of(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  return {tensor.data_ptr<float>(), static_cast<size_t>(tensor.numel())};
}

/// The models, and each way to run them; a way without settings leaves the models' own.
class Ensemble {
 public:
  Ensemble(const std::vector<const model::Model*>& its_models, std::vector<Reduced> its_ways)
      : models(its_models), ways(std::move(its_ways)), own_ns_(ways.size()) {
    XP_CHECK(!models.empty() && !ways.empty(), "predict without a model");
  }

  const std::vector<const model::Model*>& models;
  const std::vector<Reduced> ways;

  /// Mean output of the models on B clips, for each way; in halves where memory does not reach.
  std::vector<at::Tensor> run(const frontend::Spectrograms& spectrograms,
                              const PredictOptions& how) {
    const int64_t clips = spectrograms.clips();
    try {
      return run_together(spectrograms, how);
    } catch (const std::exception& error) {
      if (!dist::is_out_of_memory(error)) throw;
      if (clips == 1)
        throw Error(
            "out of memory with a single clip: eval.window_s scores long clips in windows, "
            "a larger tome.r or stride makes fewer tokens",
            Exit::kFailed);
    }
    const std::vector<at::Tensor> first = run(spectrograms.narrow(0, clips / 2), how);
    const std::vector<at::Tensor> rest =
        run(spectrograms.narrow(clips / 2, clips - clips / 2), how);
    std::vector<at::Tensor> outputs;
    for (size_t way = 0; way < first.size(); ++way)
      outputs.push_back(at::cat({first[way], rest[way]}));
    return outputs;
  }

  /// Of `total_ns` for all ways, what one would have taken alone.
  double seconds_alone(size_t way, int64_t total_ns) const {
    const int64_t others = std::accumulate(own_ns_.begin(), own_ns_.end(), -own_ns_[way]);
    return static_cast<double>(total_ns - others) * 1e-9;
  }

 private:
  std::vector<at::Tensor> run_together(const model::Input& input, const PredictOptions& how) {
    std::vector<at::Tensor> outputs;
    for (size_t w = 0; w < ways.size(); ++w) {
      const Reduced& way = ways[w];
      const int64_t begin = steady_ns();
      at::Tensor sum;
      for (size_t i = 0; i < models.size(); ++i) {
        const dist::Autocast autocast(how.device, how.precision);
        model::Pass pass;
        pass.reducers = way.empty() ? nullptr : &way[i];
        const model::Output output = models[i]->forward(input, pass);
        const at::Tensor values =
            (how.embeddings ? output.embedding : output.logits).to(at::kFloat);
        sum = sum.defined() ? sum + values : values;
      }
      outputs.push_back(models.size() == 1 ? sum : sum / static_cast<double>(models.size()));
      if (ways.size() > 1) dist::synchronise(how.device);
      own_ns_[w] += steady_ns() - begin;
    }
    return outputs;
  }

  std::vector<int64_t> own_ns_;  // of each way's models
};

using PerWay = std::vector<std::vector<at::Tensor>>;  // [way][part]

void append(PerWay& parts, const std::vector<at::Tensor>& outputs) {
  parts.resize(outputs.size());
  for (size_t way = 0; way < outputs.size(); ++way) parts[way].push_back(outputs[way]);
}

/// A stretch of one clip of a batch.
struct Window {
  int64_t clip = 0;
  int64_t begin = 0;
  int64_t length = 0;
};

/// Windows [first, end) as clips of their own.
frontend::Waves cut(const frontend::Waves& waves, const std::vector<Window>& windows, size_t first,
                    size_t end) {
  frontend::Waves out;
  for (size_t i = first; i < end; ++i) out.lengths.push_back(windows[i].length);
  const int64_t longest = *std::max_element(out.lengths.begin(), out.lengths.end());
  out.samples = at::zeros({static_cast<int64_t>(end - first), longest}, waves.samples.options());
  for (size_t i = first; i < end; ++i) {
    const Window& window = windows[i];
    out.samples.select(0, static_cast<int64_t>(i - first))
        .narrow(0, 0, window.length)
        .copy_(waves.samples.select(0, window.clip).narrow(0, window.begin, window.length));
  }
  return out;
}

/// Outputs of a batch for each way: of the clips as they are, or the mean over windows of each.
std::vector<at::Tensor> run_batch(Ensemble& ensemble, const frontend::Frontend& frontend,
                                  const Windows& windows, const data::Batch& batch,
                                  const PredictOptions& how) {
  const frontend::Waves waves = batches::waves_of(batch, how.device);
  if (windows.length == 0) return ensemble.run(frontend.forward(waves), how);
  std::vector<Window> all;
  std::vector<int64_t> counts;
  for (int64_t clip = 0; clip < batch.size; ++clip) {
    const int64_t samples = waves.lengths[static_cast<size_t>(clip)];
    const std::vector<int64_t> starts = windows.starts_in(samples);
    for (const int64_t begin : starts) all.push_back({clip, begin, windows.length_in(samples)});
    counts.push_back(static_cast<int64_t>(starts.size()));
  }
  PerWay parts;
  const auto step = static_cast<size_t>(how.batch_size);
  for (size_t first = 0; first < all.size(); first += step) {
    how.check();
    const size_t end = std::min(all.size(), first + step);
    append(parts, ensemble.run(frontend.forward(cut(waves, all, first, end)), how));
  }
  std::vector<at::Tensor> outputs;
  for (const auto& part : parts) {
    std::vector<at::Tensor> means;
    for (const at::Tensor& of_clip : at::cat(part).split_with_sizes(counts))
      means.push_back(of_clip.mean(0));
    outputs.push_back(at::stack(means));
  }
  return outputs;
}

/// What comes in the order of `rows` in the order 0 .. N-1 of these.
at::Tensor in_order(const at::Tensor& sorted, const std::vector<int64_t>& rows) {
  if (std::is_sorted(rows.begin(), rows.end())) return sorted;
  return at::empty_like(sorted).index_copy_(0, at::tensor(rows, at::kLong), sorted);
}

std::vector<Predictions> predict_ways(Ensemble ensemble, const frontend::Frontend& frontend,
                                      const schema::FrontendOptions& options,
                                      const batches::Clips& clips,
                                      const std::vector<uint32_t>& rows,
                                      const PredictOptions& how) {
  const at::NoGradGuard no_grad;
  const int64_t begin = steady_ns();
  const auto total = static_cast<int64_t>(rows.size());
  const int64_t rank = how.group == nullptr ? 0 : how.group->rank();
  const int64_t world = how.group == nullptr ? 1 : how.group->size();
  const std::vector<uint32_t> mine(rows.begin() + total * rank / world,
                                   rows.begin() + total * (rank + 1) / world);
  int64_t least = 1;
  for (const model::Model* model : ensemble.models) least = std::max(least, model->least_frames());
  batches::check_lengths(clips, rows, options, least);
  const Windows windows = Windows::of(how.window_s, how.window_hop_s, options.rate_hz);
  batches::EvaluationBatches batches(clips, mine, options,
                                     {how.batch_size, how.workers, how.device, windows.length > 0});
  PerWay outputs(ensemble.ways.size());
  std::vector<at::Tensor> targets, masks;
  std::vector<int64_t> order;
  while (const auto batch = batches.next()) {
    how.check();
    const auto values = run_batch(ensemble, frontend, windows, *batch, how);
    // They stay on the device: the next batch is not to wait for this one.
    append(outputs, values);
    // Labels live in the loader's memory, which goes back to its pool.
    targets.push_back(batches::labels_of(*batch, at::kCPU).clone());
    if (batch->mask != nullptr) masks.push_back(batches::mask_of(*batch, at::kCPU).clone());
    order.insert(order.end(), batch->rows.begin(), batch->rows.end());
    how.progress(static_cast<int64_t>(order.size()) * world, total);
  }
  dist::synchronise(how.device);
  const int64_t took = steady_ns() - begin;
  const auto joined = [&](const std::vector<at::Tensor>& parts, int64_t width) {
    at::Tensor all = parts.empty() ? at::zeros({0, width}) : in_order(at::cat(parts).cpu(), order);
    if (how.group != nullptr) all = how.group->gather_rows(all);
    return all.contiguous();
  };
  const int64_t width = how.embeddings ? ensemble.models[0]->embedding_size() : clips.classes();
  const at::Tensor all_targets = joined(targets, clips.classes());
  const at::Tensor all_masks =
      clips.shards->masked() ? joined(masks, clips.classes()) : at::Tensor();
  std::vector<Predictions> results(outputs.size());
  for (size_t way = 0; way < outputs.size(); ++way) {
    Predictions& result = results[way];
    (how.embeddings ? result.embeddings : result.logits) = joined(outputs[way], width);
    result.seconds = ensemble.seconds_alone(way, took);
    result.targets = all_targets;
    result.mask = all_masks;
  }
  return results;
}

}  // namespace

Predictions predict(const std::vector<const model::Model*>& models,
                    const frontend::Frontend& frontend, const schema::FrontendOptions& options,
                    const batches::Clips& clips, const std::vector<uint32_t>& rows,
                    const PredictOptions& how) {
  const Reduced their_own;
  return predict_ways({models, {their_own}}, frontend, options, clips, rows, how).front();
}

std::vector<Predictions> predict_each(
    const std::vector<const model::Model*>& models, const std::vector<Reduced>& ways,
    const frontend::Frontend& frontend, const schema::FrontendOptions& options,
    const batches::Clips& clips, const std::vector<uint32_t>& rows, const PredictOptions& how) {
  for (const Reduced& way : ways)
    XP_CHECK(way.size() == models.size(), "the reducers of each model have to be given");
  return predict_ways({models, ways}, frontend, options, clips, rows, how);
}

double mean_loss(const Predictions& predictions, schema::Loss loss) {
  const at::NoGradGuard no_grad;
  const bool unmasked = loss == schema::Loss::kMaskedBce && !predictions.mask.defined();
  return label_loss(unmasked ? schema::Loss::kBce : loss, predictions.logits, predictions.targets,
                    predictions.mask)
      .item<double>();
}

std::map<std::string, double> score(const Predictions& predictions, schema::Loss loss) {
  std::map<std::string, double> values;
  if (predictions.logits.size(0) == 0) return values;
  values["loss"] = mean_loss(predictions, loss);
  const metric::Table table{values_of(predictions.logits), values_of(predictions.targets),
                            values_of(predictions.mask), predictions.logits.size(0),
                            predictions.logits.size(1)};
  const metric::Scored scored(table);
  for (const metric::Metric& line : metric::table())
    if (line.compute != nullptr && (line.of & metric::Of::kValidation) != 0)
      values[std::string(line.name)] = line.compute(scored, {});
  std::erase_if(values, [](const auto& entry) { return std::isnan(entry.second); });
  return values;
}

}  // namespace xp::evaluate
