#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/batches/source.h"
#include "core/evaluate/evaluation.h"
#include "core/evaluate/run.h"
#include "core/graph/stage.h"
#include "core/metric/logistic.h"
#include "core/ops/frontend_options.h"
#include "core/ops/log_mel.h"
#include "core/schema/stage_options.h"
#include "data/parallel.h"
#include "tracker/run_sink.h"

namespace xp::evaluate {
namespace {

/// Mean and deviation over time of every mel band of each clip: [n, 2 F].
std::vector<float> band_levels(const batches::Clips& clips, const std::vector<uint32_t>& rows,
                               const schema::FrontendOptions& options, int threads,
                               const graph::StageContext& context) {
  const ops::LogMel mel(ops::log_mel_options(options));
  const auto bins = static_cast<size_t>(mel.bins());
  std::vector<float> features(rows.size() * 2 * bins);
  data::parallel_for(static_cast<int64_t>(rows.size()), threads, [&](int64_t i) {
    graph::throw_if_stopped(context);
    const auto row = static_cast<int64_t>(rows[static_cast<size_t>(i)]);
    std::vector<float> wave(static_cast<size_t>(clips.shards->samples(row)));
    clips.shards->read(row, wave);
    int64_t samples = static_cast<int64_t>(wave.size());
    if (options.clip_s > 0) samples = std::min(samples, ops::clip_samples(options));
    int64_t frames = mel.frames(samples);
    if (options.frames > 0) frames = std::min(frames, options.frames);
    float* out = features.data() + static_cast<size_t>(i) * 2 * bins;
    if (frames == 0) return;
    std::vector<float> values(bins * static_cast<size_t>(frames));
    mel.run(wave.data(), samples, values.data(), frames, frames);
    for (size_t f = 0; f < bins; ++f) {
      double sum = 0;
      double squares = 0;
      for (int64_t t = 0; t < frames; ++t) {
        const double value = values[f * static_cast<size_t>(frames) + static_cast<size_t>(t)];
        sum += value;
        squares += value * value;
      }
      const double mean = sum / static_cast<double>(frames);
      out[f] = static_cast<float>(mean);
      out[bins + f] = static_cast<float>(
          std::sqrt(std::max(0.0, squares / static_cast<double>(frames) - mean * mean)));
    }
  });
  return features;
}

std::vector<float> targets_of(const batches::Clips& clips, const std::vector<uint32_t>& rows) {
  const data::LabelTable labels = clips.shards->labels();
  const auto classes = static_cast<size_t>(labels.classes);
  std::vector<float> targets(rows.size() * classes);
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto index = labels.of(rows[i]);
    const auto value = labels.values_of(rows[i]);
    for (size_t j = 0; j < index.size(); ++j)
      targets[i * classes + static_cast<size_t>(index[j])] = value[j];
  }
  return targets;
}

/// Scales each row of [N, K] to sum 1: what softmax is fitted to.
void to_distributions(std::vector<float>& targets, int64_t classes) {
  for (auto row = targets.begin(); row != targets.end(); row += classes) {
    const float sum = std::accumulate(row, row + classes, 0.0F);
    if (sum > 0) std::transform(row, row + classes, row, [sum](float y) { return y / sum; });
  }
}

}  // namespace

void run_baseline(const schema::BaselineStageOptions& options, graph::StageContext& context) {
  const int64_t begin = steady_ns();
  const batches::Clips clips = batches::open_clips(context, options.dataset);
  const std::string split(recipe::enum_name(options.eval.split));
  const std::vector<uint32_t> train = clips.rows("train");
  const std::vector<uint32_t> test = clips.rows(split);
  if (train.empty() || test.empty())
    throw Error(fmt::format("the baseline needs clips in 'train' and in '{}'", split), Exit::kData);
  batches::check_lengths(clips, train, options.frontend, 1);
  batches::check_lengths(clips, test, options.frontend, 1);
  const int threads = std::max(1, context.resources.threads);
  const auto bins = 2 * options.frontend.mel_bins;
  const std::vector<float> features = band_levels(clips, train, options.frontend, threads, context);
  const metric::Link link =
      options.loss == schema::Loss::kCe ? metric::Link::kSoftmax : metric::Link::kSigmoid;
  std::vector<float> targets = targets_of(clips, train);
  if (link == metric::Link::kSoftmax) to_distributions(targets, clips.classes());
  const metric::LogisticRegression model(features, targets, static_cast<int64_t>(train.size()),
                                         clips.classes(), link, 1.0,
                                         [&] { graph::throw_if_stopped(context); });

  ScoredSplit scored;
  for (const uint32_t row : test) scored.ids.emplace_back(clips.shards->id(row));
  scored.classes = clips.class_list();
  scored.logits = model.scores(band_levels(clips, test, options.frontend, threads, context),
                               static_cast<int64_t>(test.size()));
  scored.targets = targets_of(clips, test);
  if (clips.shards->masked()) {
    scored.mask.resize(scored.targets.size());
    for (size_t i = 0; i < test.size(); ++i)
      clips.shards->known(test[i], std::span<float>(scored.mask)
                                       .subspan(i * static_cast<size_t>(clips.classes()),
                                                static_cast<size_t>(clips.classes())));
  }
  scored.split = split;
  scored.model = "logistic regression on band levels";
  const Evaluation evaluation = evaluate(scored, options.eval, static_cast<uint64_t>(options.seed));
  report_evaluation(evaluation, scored, options.eval, context.output, *context.sink);
  context.say(fmt::format("logistic regression: {} features, {} iterations, {}", bins,
                          model.iterations(),
                          duration_text(static_cast<double>(steady_ns() - begin) * 1e-9)));
}

}  // namespace xp::evaluate
