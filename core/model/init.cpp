#include "core/model/init.h"

#include <algorithm>
#include <cmath>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include "core/base/error.h"
#include "core/base/rng.h"

namespace xp::model {
namespace {

using schema::InitRule;

/// How a weight is drawn, by its fans.
enum class Draw {
  kNormal002,
  kNormal001,
  kTorch,   ///< uniform, PyTorch's default
  kXavier,  ///< uniform
  kFanOut   ///< normal
};

struct Start {
  Draw weight;
  bool torch_bias = false;  ///< drawn as PyTorch's default; otherwise 0
};

constexpr Start kNormal{Draw::kNormal002};
constexpr Start kTorch{Draw::kTorch, true};
constexpr Start kXavier{Draw::kXavier};

/// The table of init.h.
Start start_of(InitRule rule, Part part) {
  if (rule == InitRule::kXavier) return kXavier;
  if (part == Part::kConvolution) return {Draw::kFanOut};
  if (part == Part::kDense) return {Draw::kNormal001};
  switch (rule) {
    case InitRule::kAst:
    case InitRule::kSsast:
      return part == Part::kPatches || part == Part::kHead || part == Part::kPrediction ? kTorch
                                                                                        : kNormal;
    case InitRule::kPasst:
      return part == Part::kPatches ? kTorch : kNormal;
    case InitRule::kTorchOnly:
      if (part == Part::kQkv) return kXavier;
      return part == Part::kAttention ? Start{Draw::kTorch} : kTorch;
    case InitRule::kNormal:
      return kNormal;
    case InitRule::kAuto:
    case InitRule::kEfficientAt:
    case InitRule::kXavier:
      break;
  }
  XP_CHECK(false, "a rule for this part of a model");
  return kNormal;
}

/// Values of a kernel [out, in, ...] that one output, or one input, is connected to.
struct Fans {
  double in = 1;
  double out = 1;
};

Fans fans_of(const std::vector<int64_t>& kernel) {
  Fans fans{static_cast<double>(kernel[1]), static_cast<double>(kernel[0])};
  for (size_t i = 2; i < kernel.size(); ++i) {
    fans.in *= static_cast<double>(kernel[i]);
    fans.out *= static_cast<double>(kernel[i]);
  }
  return fans;
}

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

at::Tensor Init::weight(Part part, std::string_view name, const std::vector<int64_t>& shape,
                        const std::vector<int64_t>& kernel) const {
  const Fans fans = fans_of(kernel.empty() ? shape : kernel);
  switch (start_of(rule_, part).weight) {
    case Draw::kNormal002:
      return normal(name, shape, 0.02);
    case Draw::kNormal001:
      return normal(name, shape, 0.01);
    case Draw::kTorch:
      return uniform(name, shape, 1 / std::sqrt(fans.in));
    case Draw::kXavier:
      return uniform(name, shape, std::sqrt(6 / (fans.in + fans.out)));
    case Draw::kFanOut:
      return normal(name, shape, std::sqrt(2 / fans.out));
  }
  return {};
}

at::Tensor Init::bias(Part part, const std::vector<int64_t>& weight) const {
  if (!start_of(rule_, part).torch_bias) return constant({weight[0]}, 0);
  return uniform("bias", {weight[0]}, 1 / std::sqrt(fans_of(weight).in));
}

at::Tensor Init::mask_embed(int64_t dim) const {
  const bool small =
      rule_ == InitRule::kNormal || rule_ == InitRule::kAst || rule_ == InitRule::kPasst;
  return normal("mask_embed", {1, 1, dim}, small ? 0.02 : 1 / std::sqrt(static_cast<double>(dim)));
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
