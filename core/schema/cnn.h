#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/schema/cost.h"

namespace xp::schema {

/// Channels of a scaled network: the multiple of 8 nearest to `channels`, at least 8, and never
/// less than 90 % of it (the rule of MobileNet).
int64_t make_divisible(double channels);

/// One inverted residual: 1 x 1 to `expanded` (absent when that equals `in`), depthwise, gate, 1 x
/// 1 to `out`.
struct CnnStage {
  int64_t in, kernel, expanded, out;
  bool squeeze;    ///< has a squeeze-and-excitation gate
  bool hardswish;  ///< else ReLU
  int64_t stride;
  int64_t dilation;
};

/// MobileNetV3-large scaled by `width`, `strides` of its four stages that halve the map.
std::vector<CnnStage> cnn_stages(double width, const std::array<int64_t, 4>& strides,
                                 bool reduced_tail, bool dilated);

/// Width of the vector between the two linear layers of the mlp head.
int64_t cnn_hidden(double width, bool reduced_tail);

/// H of a dynamic block: a quarter of the expanded channels, within 32 and 128 scaled.
int64_t dynamic_context(int64_t expanded, double width);

/// Parameters and convolutions' and linear layers' GFLOP (a multiply-add counts two) of one clip;
/// tokens are 0. Transformers give zeros.
Cost cnn_cost(const ModelOptions& model, const Geometry& input, int64_t classes);

}  // namespace xp::schema
