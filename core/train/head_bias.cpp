#include "core/train/head_bias.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include "core/base/error.h"

namespace xp::train {
namespace {

using schema::HeadBias;

/// The bias of the last layer, [K]: behind a head's norm or hidden layer.
at::Tensor last_bias(model::Model& model) {
  at::Tensor found;
  for (const model::NamedTensor& entry : model.parameters()) {
    const bool bias = entry.name.ends_with(".bias") && entry.tensor.dim() == 1 &&
                      entry.tensor.size(0) == model.classes();
    if (bias && model.placement(entry.name).head) found = entry.tensor;
  }
  return found;
}

std::vector<double> log_frequencies(const batches::Clips& clips, const std::vector<uint32_t>& rows,
                                    bool exclusive) {
  const std::vector<int64_t> counts = data::class_counts(clips.shards->labels(), rows);
  std::vector<double> judged(counts.size(), static_cast<double>(rows.size()));
  if (clips.shards->masked()) {
    std::fill(judged.begin(), judged.end(), 0);
    std::vector<float> known(counts.size());
    for (const uint32_t row : rows) {
      clips.shards->known(row, known);
      for (size_t k = 0; k < known.size(); ++k) judged[k] += static_cast<double>(known[k]);
    }
  }
  std::vector<double> logs;
  for (size_t k = 0; k < counts.size(); ++k) {
    const auto with = static_cast<double>(counts[k]);
    const double others = exclusive ? judged[k] : judged[k] - with;
    logs.push_back(std::log((with + 0.5) / (others + 0.5)));
  }
  return logs;
}

HeadBias chosen(const schema::TrainStageOptions& options, bool from_nothing) {
  if (options.model.head_bias != HeadBias::kAuto) return options.model.head_bias;
  const bool transformer = schema::is_transformer(options.model.resolved().family);
  return from_nothing && transformer && options.train.loss == schema::Loss::kBce
             ? HeadBias::kLogClasses
             : HeadBias::kInit;
}

}  // namespace

void start_head_bias(model::Model& model, const schema::TrainStageOptions& options,
                     bool from_nothing, const batches::Clips& clips,
                     const std::vector<uint32_t>& rows) {
  const HeadBias kind = chosen(options, from_nothing);
  if (kind == HeadBias::kInit) return;
  at::Tensor bias = last_bias(model);
  if (!bias.defined()) {
    throw Error(
        fmt::format("model.head_bias = \"{}\": the last layer of {} has no bias of its own "
                    "for each class; leave it out",
                    recipe::enum_name(kind), options.model.arch));
  }
  const at::NoGradGuard no_grad;
  if (kind == HeadBias::kFrequencies) {
    const bool exclusive = options.train.loss == schema::Loss::kCe;
    bias.copy_(at::tensor(log_frequencies(clips, rows, exclusive)));
  } else {
    bias.fill_(kind == HeadBias::kZero ? 0 : -std::log(static_cast<double>(model.classes())));
  }
}

}  // namespace xp::train
