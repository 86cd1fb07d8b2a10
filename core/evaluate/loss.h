#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "core/schema/kd.h"
#include "core/schema/train.h"

namespace xp::evaluate {

/// Binary cross entropy of logits against (soft) targets, both [B, K], as [B, K]:
/// softplus(z) - y z. `mean()` of it is torch's BCEWithLogitsLoss.
at::Tensor bce_elements(const at::Tensor& logits, const at::Tensor& targets);

/// Cross entropy of each row: -sum_k y_k log softmax(z)_k, [B]. Rows of `targets` are
/// distributions.
at::Tensor ce_rows(const at::Tensor& logits, const at::Tensor& targets);

/// Targets for cross entropy from multi-hot labels [B, K]: a row with a full label (largest entry
/// 1) becomes one-hot at its first full label (AST takes the argmax of the label vector); a mixed
/// row is scaled to sum 1.
at::Tensor class_distribution(const at::Tensor& labels);

/// The label loss of a batch, a scalar. bce: mean over clips and classes. ce: mean over clips, of
/// `class_distribution(labels)`. masked_bce: entries where `mask` [B, K] is 0 count as 0 and are
/// still counted in the mean (PaSST `ex_openmic.py`). `smoothing` s: ce y(1-s) + s/K, bce y(1-s) +
/// s/2.
at::Tensor label_loss(schema::Loss kind, const at::Tensor& logits, const at::Tensor& labels,
                      const at::Tensor& mask = {}, double smoothing = 0);

/// A teacher's opinion of a batch. The losses are linear in the target, so mixing losses with
/// weights m and 1 - m (EfficientAT) equals mixing these, and a missing row is a weight of 0.
struct SoftTarget {
  at::Tensor probability;  ///< [B, K], already multiplied by the weight of its row
  at::Tensor weight;       ///< [B] in [0, 1]: share of the row that has a teacher
};

/// sigmoid(t / T) or softmax(t / T) of teacher logits [B, K]; `present` [B] of 0/1.
SoftTarget soft_target(const at::Tensor& teacher_logits, const at::Tensor& present,
                       const schema::KdOptions& options);

/// m a + (1 - m) b, row by row; `m` [B].
SoftTarget mix(const SoftTarget& a, const SoftTarget& b, const at::Tensor& m);

/// The teacher's part: sigmoid: mean over [B, K] of weight * softplus(z) - probability * z, which
/// is BCE against the teacher's probabilities where rows without a teacher count as zeros in the
/// mean; softmax: the same with cross entropy, mean over B. z are the student's logits as they are
/// (EfficientAT `ex_audioset.py`); with `student_temperature` z / T, and the mean is multiplied by
/// T^2, so that its gradient keeps its size (Hinton, Vinyals, Dean 2015).
at::Tensor soft_loss(const schema::KdOptions& options, const at::Tensor& logits,
                     const SoftTarget& soft);

/// lambda * hard + (1 - lambda) * soft: lambda weights the LABEL loss.
at::Tensor kd_loss(double lambda, const at::Tensor& hard, const at::Tensor& soft);

}  // namespace xp::evaluate
