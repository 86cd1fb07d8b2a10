#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include <ATen/core/Tensor.h>

#include "core/batches/source.h"
#include "core/model/model.h"
#include "core/schema/train.h"

namespace xp::evaluate {

struct BenchOptions {
  int64_t batch = 32;
  int64_t reps = 30;
  int64_t warm_up = 10;
  schema::Precision precision = schema::Precision::kFp32;
  const model::Reducers* reducers = nullptr;  ///< replace the model's own
  std::function<void()> check = [] {};        ///< called before every pass, outside of its time

  /// Single clips whose latency is taken: few would have no 95th percentile.
  int64_t singles() const { return std::max<int64_t>(reps, 20); }
  /// Forward passes that `bench` makes.
  int64_t passes() const { return 2 * warm_up + reps + singles(); }
};

/// Speed of a model on its device, from spectrogram to logits, without the front end: clips_per_s
/// over `reps` batches; latency_p50_ms and latency_p95_ms of single clips; peak_mem_mb while it
/// ran; params_m; gflop of one clip (multiply and add count as two); cpu_wait_p, the share of the
/// time that its threads waited for a core that other work had (where the kernel counts that).
/// Inputs are noise: no model here is faster on easy sounds.
std::map<std::string, double> bench(const model::Model& model, batches::InputSize size,
                                    at::Device device, const BenchOptions& options);

/// Floating-point operations of one forward pass: matrix products, convolutions and attention as
/// ATen runs them.
double count_flop(const model::Model& model, const model::Input& input,
                  const model::Reducers* reducers);

}  // namespace xp::evaluate
