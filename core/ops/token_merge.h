#pragma once

#include <cstdint>

namespace xp::ops {

/// The parts of token merging that no matrix product does, for one clip on the CPU. The tokens are
/// dealt into A (even positions, ceil(N / 2)) and B (odd positions, floor(N / 2)). The templates
/// are defined in token_merge_inl.h, and made for each type in
/// core/model/reduce/token_merge_loops.cpp.

/// Sums keys over `heads`, scales each sum to length 1 and deals it out: a [ceil(N/2), C], b
/// [floor(N/2), C]. Element (head, token, channel) is keys[head * head_stride + token *
/// token_stride + channel]. T is float, double, c10::BFloat16 or c10::Half (anything that converts
/// to float).
template <class T>
void split_normalised(const T* keys, int64_t heads, int64_t head_stride, int64_t tokens,
                      int64_t token_stride, int64_t channels, float* a, float* b);

/// Where plan_merge writes.
struct MergePlan {
  int64_t* target;    ///< [N] token after the merge
  int64_t* unmerged;  ///< [ceil(N/2) - r] into A
  int64_t* from;      ///< [r] into A, by falling score
  int64_t* into;      ///< [r] into B
};

/// Plans the merge of the r best pairs, 0 < r <= (N - protected) / 2. `scores` [ceil(N/2),
/// floor(N/2)] row-major; a pair with NaN counts as worst, equal scores go to the lower index.
/// Order after it: unmerged A, B; with dist A0, B0, rest of A, rest of B.
void plan_merge(const float* scores, int64_t tokens, int64_t r, bool cls, bool dist,
                const MergePlan& plan);

/// out [after, C] = size-weighted means of x [N, C] by target; out_size [after] = summed sizes.
/// `size` null = ones. A token made of nothing (padding) is zero. Sums are taken in Sum (float, or
/// double for double).
template <class T, class Sum>
void merge_forward(const T* x, const float* size, const int64_t* target, int64_t tokens,
                   int64_t channels, int64_t after, T* out, float* out_size);

/// grad_x [N, C] of the above: grad_out[target] * size / out_size[target].
template <class T, class Sum>
void merge_backward(const T* grad_out, const float* size, const float* out_size,
                    const int64_t* target, int64_t tokens, int64_t channels, T* grad_x);

}  // namespace xp::ops
