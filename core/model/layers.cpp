#include "core/model/layers.h"

#include <algorithm>
#include <string>
#include <utility>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Generator.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/frontend/to_device.h"

namespace xp::model {
namespace {

uint64_t position_of(const DrawKey& key, int64_t clip) {
  return static_cast<uint64_t>(key.positions[static_cast<size_t>(clip)]);
}

Rng noise_rng(const DrawKey& key, std::string_view purpose, std::string_view site, int64_t block,
              int64_t clip) {
  const std::string name =
      std::string(purpose) + '/' + std::string(site) + '/' + std::to_string(block);
  return {key.seed, name, key.epoch, position_of(key, clip)};
}

/// work(clip, first row, rows) for each clip of `runs`.
template <class Work>
void each_clip(const std::vector<Run>& runs, const Work& work) {
  int64_t clip = 0;
  int64_t row = 0;
  for (const Run& run : runs)
    for (int64_t i = 0; i < run.clips; ++i, ++clip, row += run.tokens) work(clip, row, run.tokens);
}

}  // namespace

Linear::Linear(int64_t in, int64_t out, Part part, const Init& init,
               const std::vector<int64_t>& shape)
    : weight(init.weight(part, "weight", shape.empty() ? std::vector<int64_t>{out, in} : shape)),
      bias(init.bias(part, {out, in})) {}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  const at::Tensor input = x.scalar_type() == weight.scalar_type() ? x : x.to(weight.scalar_type());
  return at::linear(input, weight.dim() == 2 ? weight : weight.flatten(1), bias);
}

void Linear::members(Members& list) {
  list.parameter("weight", weight);
  list.parameter("bias", bias);
}

Norm::Norm(int64_t dim, double epsilon, const Init& init)
    : weight(init.constant({dim}, 1)), bias(init.constant({dim}, 0)), eps(epsilon) {}

at::Tensor Norm::operator()(const at::Tensor& x) const {
  const bool same = x.scalar_type() == weight.scalar_type();
  return at::layer_norm(x, {weight.size(0)}, same ? weight : weight.to(x.scalar_type()),
                        same ? bias : bias.to(x.scalar_type()), eps);
}

void Norm::members(Members& list) {
  list.parameter("weight", weight);
  list.parameter("bias", bias);
}

Noise::Noise(DrawKey key) : key_(std::move(key)), on_(true) {}

at::Tensor Noise::dropout(const at::Tensor& x, const std::vector<Run>& runs, double p,
                          std::string_view site, int64_t block) const {
  if (!on_ || p <= 0) return x;
  // Drawn on the CPU's generator, clip by clip: the same masks on every device and for every split
  // of a batch.
  at::Tensor mask = at::empty(x.sizes(), at::kFloat);
  each_clip(runs, [&](int64_t clip, int64_t row, int64_t rows) {
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(
        noise_rng(key_, "dropout", site, block, clip).bits64());
    mask.narrow(0, row, rows).bernoulli_(1 - p, generator);
  });
  return x * frontend::to_device(mask.div_(1 - p), x.device()).to(x.scalar_type());
}

at::Tensor Noise::drop_path(const at::Tensor& x, const std::vector<Run>& runs, double p,
                            std::string_view site, int64_t block) const {
  if (!on_ || p <= 0) return x;
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[0] = x.size(0);
  at::Tensor scale = at::empty(shape, at::kFloat);
  float* const values = scale.mutable_data_ptr<float>();
  each_clip(runs, [&](int64_t clip, int64_t row, int64_t rows) {
    const bool dropped = noise_rng(key_, "drop_path", site, block, clip).uniform() < p;
    std::fill_n(values + row, rows, dropped ? 0.0F : static_cast<float>(1 / (1 - p)));
  });
  return x * frontend::to_device(scale, x.device()).to(x.scalar_type());
}

}  // namespace xp::model
