#include "core/evaluate/bench.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "core/base/clock.h"
#include "core/base/cpu.h"
#include "core/dist/device.h"

namespace xp::evaluate {
namespace {

/// Share of the time since `before` that threads which were ready to run waited for a core: what
/// other work on the machine takes from a measurement. nullopt where the kernel does not count it.
std::optional<double> waited_share(const std::optional<CpuTurns>& before) {
  const auto now = process_cpu_turns();
  if (!before || !now) return std::nullopt;
  const auto waited = static_cast<double>(now->waited_ns - before->waited_ns);
  const auto ran = static_cast<double>(now->ran_ns - before->ran_ns);
  if (!(waited >= 0 && ran > 0)) return std::nullopt;
  return waited / (waited + ran);
}

double percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const auto at = static_cast<size_t>(std::ceil(share * static_cast<double>(values.size())));
  return values[std::max<size_t>(1, at) - 1];
}

}  // namespace

std::map<std::string, double> bench(const model::Model& model, batches::InputSize size,
                                    at::Device device, const BenchOptions& options) {
  const at::NoGradGuard no_grad;
  const dist::Autocast autocast(device, options.precision);
  model::Pass pass;
  pass.reducers = options.reducers;
  const auto input = [&](int64_t clips) {
    return model::Input::whole(at::zeros({clips, size.bins, size.frames})
                                   .normal_(0, 0.5, at::make_generator<at::CPUGeneratorImpl>(1))
                                   .to(device));
  };
  const auto timed = [&](const model::Input& clips) {
    options.check();
    const int64_t begin = steady_ns();
    model.forward(clips, pass);
    dist::synchronise(device);
    return static_cast<double>(steady_ns() - begin) * 1e-9;
  };
  std::map<std::string, double> values;
  const auto turns = process_cpu_turns();
  const model::Input batch = input(options.batch);
  for (int64_t i = 0; i < options.warm_up; ++i) timed(batch);
  dist::reset_peak(device);
  double seconds = 0;
  for (int64_t i = 0; i < options.reps; ++i) seconds += timed(batch);
  values["clips_per_s"] = static_cast<double>(options.batch * options.reps) / seconds;
  values["peak_mem_mb"] = dist::peak_memory_mb(device);
  const model::Input one = input(1);
  for (int64_t i = 0; i < options.warm_up; ++i) timed(one);
  std::vector<double> latency;
  for (int64_t i = 0; i < options.singles(); ++i) latency.push_back(timed(one) * 1e3);
  values["latency_p50_ms"] = percentile(latency, 0.5);
  values["latency_p95_ms"] = percentile(latency, 0.95);
  if (const auto share = waited_share(turns)) values["cpu_wait_p"] = *share;
  values["params_m"] = static_cast<double>(model.parameter_count()) * 1e-6;
  values["gflop"] = count_flop(model, one, options.reducers) * 1e-9;
  return values;
}

}  // namespace xp::evaluate
