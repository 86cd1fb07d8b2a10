#pragma once

#include <cstdint>
#include <vector>

namespace at {
class Tensor;
}

namespace xp::frontend {

/// Mixing within a batch (PaSST helpers/mixup.py): row i becomes weight[i] * x[i] + (1 - weight[i])
/// * x[partner[i]].
struct SpecMix {
  std::vector<int64_t> partner;  ///< a permutation of 0..B-1
  std::vector<float> weight;     ///< [0.5, 1]
};

/// weight = max(l, 1 - l), l ~ Beta(alpha, alpha), a function of (seed, epoch, position + i). The
/// permutation orders the clips by a random number of each (seed, epoch, position), so a clip's
/// partner depends on which clips share its batch and on nothing else.
SpecMix draw_spec_mix(int64_t batch, double alpha, uint64_t seed, uint64_t epoch,
                      uint64_t position);

/// Mixes rows of any tensor [B, ...] (spectrograms, labels, teacher logits): returns a new tensor
/// of the same type and device.
at::Tensor mix_rows(const at::Tensor& rows, const SpecMix& mix);
/// The same of some rows of the batch, `first` .. first + B - 1: the partners are rows of `all`.
at::Tensor mix_rows(const at::Tensor& rows, const at::Tensor& all, const SpecMix& mix,
                    int64_t first);

}  // namespace xp::frontend
