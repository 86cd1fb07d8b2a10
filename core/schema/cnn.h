#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/schema/cost.h"

namespace xp::schema {

/// Channels of a scaled network: the multiple of 8 nearest to `channels`, at least 8, and never
/// less than 90 % of it (the rule of MobileNet).
int64_t make_divisible(double channels);

/// channels / divisor, rounded down as the originals' `//` does, then to what a layer may have.
int64_t channels_part(int64_t channels, int64_t divisor);

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

/// How the size of a dynamic block's context follows from its expanded channels (EfficientAT's
/// context_ratio, min_context_size, max_context_size).
struct ContextSizes {
  int64_t ratio = 4;   ///< expanded channels over the context
  int64_t least = 32;  ///< times the width
  int64_t most = 128;  ///< times the width
};

/// H of a dynamic block: expanded / ratio, within least and most scaled.
int64_t dynamic_context(int64_t expanded, double width, const ContextSizes& sizes);
ContextSizes context_sizes(const ModelOptions& model);

/// Parameters and convolutions' and linear layers' GFLOP (a multiply-add counts two) of one clip;
/// tokens are 0. Transformers give zeros.
Cost cnn_cost(const ModelOptions& model, const Geometry& input, int64_t classes);

}  // namespace xp::schema
