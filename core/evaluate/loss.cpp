#include "core/evaluate/loss.h"

#include <ATen/ATen.h>

#include "core/base/error.h"

namespace xp::evaluate {

at::Tensor bce_elements(const at::Tensor& logits, const at::Tensor& targets) {
  return at::binary_cross_entropy_with_logits(logits, targets, {}, {}, at::Reduction::None);
}

at::Tensor ce_rows(const at::Tensor& logits, const at::Tensor& targets) {
  return -(targets * at::log_softmax(logits, -1)).sum(-1);
}

at::Tensor class_distribution(const at::Tensor& labels) {
  const auto [largest, first] = labels.max(-1, true);
  const at::Tensor one_hot = at::zeros_like(labels).scatter_(-1, first, 1.0);
  const at::Tensor mixed = labels / labels.sum(-1, true).clamp_min(1e-12);
  return at::where(largest >= 1.0, one_hot, mixed);
}

at::Tensor label_loss(schema::Loss kind, const at::Tensor& logits, const at::Tensor& labels,
                      const at::Tensor& mask, double smoothing) {
  const auto classes = static_cast<double>(labels.size(-1));
  switch (kind) {
    case schema::Loss::kBce:
    case schema::Loss::kMaskedBce: {
      const at::Tensor targets = smoothing > 0 ? labels * (1 - smoothing) + smoothing / 2 : labels;
      const at::Tensor elements = bce_elements(logits, targets);
      if (kind == schema::Loss::kBce) return elements.mean();
      XP_CHECK(mask.defined(), "masked_bce without a mask");
      return (elements * mask).mean();
    }
    case schema::Loss::kCe: {
      at::Tensor targets = class_distribution(labels);
      if (smoothing > 0) targets = targets * (1 - smoothing) + smoothing / classes;
      return ce_rows(logits, targets).mean();
    }
  }
  XP_CHECK(false, "unknown loss");
  return {};
}

SoftTarget soft_target(const at::Tensor& teacher_logits, const at::Tensor& present,
                       const schema::KdOptions& options) {
  const at::Tensor scaled = teacher_logits.to(at::kFloat) / options.temperature;
  const at::Tensor probability =
      options.target == schema::KdTarget::kSigmoid ? at::sigmoid(scaled) : at::softmax(scaled, -1);
  const at::Tensor weight = present.to(at::kFloat);
  return {probability * weight.unsqueeze(-1), weight};
}

SoftTarget mix(const SoftTarget& a, const SoftTarget& b, const at::Tensor& m) {
  const at::Tensor rest = 1 - m;
  return {a.probability * m.unsqueeze(-1) + b.probability * rest.unsqueeze(-1),
          a.weight * m + b.weight * rest};
}

at::Tensor soft_loss(const schema::KdOptions& options, const at::Tensor& logits,
                     const SoftTarget& soft) {
  const double t = options.student_temperature ? options.temperature : 1;
  const at::Tensor z = t == 1 ? logits : logits / t;
  const at::Tensor mean =
      options.target == schema::KdTarget::kSoftmax
          ? ce_rows(z, soft.probability).mean()
          : (soft.weight.unsqueeze(-1) * at::softplus(z) - soft.probability * z).mean();
  return t == 1 ? mean : mean * (t * t);
}

at::Tensor kd_loss(double lambda, const at::Tensor& hard, const at::Tensor& soft) {
  return lambda * hard + (1 - lambda) * soft;
}

}  // namespace xp::evaluate
