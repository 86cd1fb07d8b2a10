#include "core/model/init.h"

#include <algorithm>
#include <cmath>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include "core/base/rng.h"

namespace xp::model {
namespace {

// Each block of this many values has its own stream, so that blocks can be filled by several
// threads.
constexpr int64_t kBlock = 1 << 16;

/// Uniform in (-1, 1), 32 bits a value.
at::Tensor symmetric(uint64_t seed, const std::string& name, const std::vector<int64_t>& shape) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  float* const data = tensor.mutable_data_ptr<float>();
  const int64_t size = tensor.numel();
  const int64_t blocks = (size + kBlock - 1) / kBlock;
  at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      Rng rng(seed, "init/" + name, 0, static_cast<uint64_t>(block));
      const int64_t stop = std::min(size, (block + 1) * kBlock);
      for (int64_t i = block * kBlock; i < stop; ++i) {
        data[i] = static_cast<float>((static_cast<double>(rng()) + 0.5) * 0x1p-31 - 1.0);
      }
    }
  });
  return tensor;
}

at::Tensor trained(at::Tensor tensor) {
  tensor.set_requires_grad(true);
  return tensor;
}

}  // namespace

Init Init::child(std::string_view name) const {
  Init scope = *this;
  scope.prefix_ += std::string(name) + '.';
  return scope;
}

at::Tensor Init::normal(std::string_view name, const std::vector<int64_t>& shape,
                        double std) const {
  if (!draw_) return constant(shape, 0);
  const at::NoGradGuard no_grad;
  // Quantile of the normal distribution. The float nearest to +-1 would give infinity.
  at::Tensor values = symmetric(seed_, prefix_ + std::string(name), shape);
  values.clamp_(-1.0 + 0x1p-24, 1.0 - 0x1p-24)
      .erfinv_()
      .mul_(std * std::sqrt(2.0))
      .clamp_(-2.0, 2.0);
  return trained(values);
}

at::Tensor Init::uniform(std::string_view name, const std::vector<int64_t>& shape,
                         double bound) const {
  if (!draw_) return constant(shape, 0);
  const at::NoGradGuard no_grad;
  return trained(symmetric(seed_, prefix_ + std::string(name), shape).mul_(bound));
}

at::Tensor Init::constant(const std::vector<int64_t>& shape, double value) const {
  return trained(at::full(shape, value, at::kFloat));
}

at::Tensor Init::buffer(const std::vector<int64_t>& shape, double value) {
  return at::full(shape, value, at::kFloat);
}

}  // namespace xp::model
