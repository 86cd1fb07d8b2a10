#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/batches/source.h"
#include "core/frontend/frontend.h"
#include "core/model/model.h"
#include "core/model/reduce/reducer.h"
#include "core/schema/eval.h"
#include "core/schema/train.h"

namespace xp::dist {
class Group;
}

namespace xp::evaluate {

/// Scores of a split, on the CPU, in the order of its rows; the same on every rank.
struct Predictions {
  at::Tensor logits;      ///< [N, K] float32; undefined for embeddings
  at::Tensor embeddings;  ///< [N, D] float32; undefined for logits
  at::Tensor targets;     ///< [N, K] float32
  at::Tensor mask;        ///< [N, K] or undefined
  /// What scoring them took on this rank: loading, front end and the models, without what other
  /// ways of the same pass took.
  double seconds = 0;
};

/// How a split is run through models.
struct PredictOptions {
  int64_t batch_size = 32;
  double window_s = 0;      ///< long clips in windows, their outputs averaged; 0 = off
  double window_hop_s = 0;  ///< 0 = half a window; at most a window
  schema::Precision precision = schema::Precision::kFp32;
  bool embeddings = false;  ///< instead of logits
  at::Device device = at::kCPU;
  int workers = 1;
  dist::Group* group = nullptr;
  std::function<void(int64_t done, int64_t total)> progress = [](int64_t, int64_t) {};
  std::function<void()> check = [] {};  ///< may throw to stop
};

/// One way to run the models: the reducers of each of them, in their order.
using Reduced = std::vector<model::Reducers>;

/// Runs `rows` through every model and averages their outputs (an ensemble is the mean of logits);
/// the models reduce as they were built to.
Predictions predict(const std::vector<const model::Model*>& models,
                    const frontend::Frontend& frontend, const schema::FrontendOptions& options,
                    const batches::Clips& clips, const std::vector<uint32_t>& rows,
                    const PredictOptions& how);

/// The same in several ways with one pass over the clips: each spectrogram is made once. The result
/// of a way has the bits that it has alone.
std::vector<Predictions> predict_each(const std::vector<const model::Model*>& models,
                                      const std::vector<Reduced>& ways,
                                      const frontend::Frontend& frontend,
                                      const schema::FrontendOptions& options,
                                      const batches::Clips& clips,
                                      const std::vector<uint32_t>& rows, const PredictOptions& how);

/// The label loss of predictions over all their clips (masked_bce without a mask is bce).
double mean_loss(const Predictions& predictions, schema::Loss loss);

/// Metric leaf -> value of predictions: the loss and what metrics.inc says of validation. NaN
/// values (mAP where no class has both kinds) are left out.
std::map<std::string, double> score(const Predictions& predictions, schema::Loss loss);

}  // namespace xp::evaluate
