#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "core/model/cnn/cnn_layers.h"
#include "core/model/model.h"
#include "core/model/registry.h"
#include "core/model/widths.h"
#include "core/schema/cnn.h"
#include "core/schema/model.h"

namespace xp::model {

/// The CNN teachers of EfficientAT (Schmid et al. 2023, "Efficient Large-Scale Audio Tagging via
/// Transformer-to-CNN Knowledge Distillation", and 2024, "Dynamic Convolutional Neural Networks as
/// Efficient Pre-trained Audio Models"). Both are MobileNetV3-large with channels scaled by `width`
/// and rounded to 8.
struct CnnOptions {
  double width = 1;
  int64_t classes = 527;
  std::array<int64_t, 4> strides = {2, 2, 2, 2};  ///< of the stages that halve the map, each 1 or 2
  schema::CnnHead head = schema::CnnHead::kMlp;
  double dropout = 0.2;  ///< before the last layer of the mlp head
  bool reduced_tail = false;
  bool dilated = false;
};

/// What both families take from a recipe's [model].
CnnOptions cnn_options(const ModelSpec& spec);

/// What reads the last feature maps. `kMlp`: mean, linear, hardswish, dropout, linear
/// ("2", "5"); `kConv`: 1 x 1 convolution, batch norm, mean ("0", "1"); `kAttention`: mean over
/// frequency, then an attention over time for each class and of several heads, mixed by learnt
/// weights ("subspace_proj", "head_weight").
class CnnClassifier : public Module {
 public:
  CnnClassifier() = default;
  CnnClassifier(int64_t channels, int64_t hidden, const CnnOptions& options,
                int64_t attention_heads, const Init& init);
  /// Embedding [B, C], the mean of each clip's map over both axes, and logits [B, K].
  Output operator()(const Maps& maps, const Widths& widths, const Training& training,
                    const Noise& noise) const;

 protected:
  void members(Members& list) override;

 private:
  at::Tensor attend(const at::Tensor& map) const;

  CnnOptions options_;
  Linear hidden_, output_;
  at::Tensor conv_;
  BatchNorm norm_;
  Linear subspace_;
  at::Tensor head_weight_;
};

/// The placement of learning rates that both families share: 0 the first convolution
/// ("features.0.", "in_c."), i + 1 the i-th block, 16 the last convolution, 17 the classifier.
Placement cnn_placement(std::string_view parameter);
inline constexpr int64_t kCnnLayers = 18;

inline Activation activation_of(const schema::CnnStage& stage) {
  return stage.hardswish ? Activation::kHardswish : Activation::kRelu;
}

/// The map [B, 1, F, T] of a spectrogram [B, F, T]. On the CPU its strides are those of channels
/// last, which every convolution after it keeps: a training step of mn04 is 1.6 times as fast.
at::Tensor first_map(const at::Tensor& mel);

/// The spectrograms of each width, [b, F, T].
Maps mels_of(const Input& input, const Widths& widths);

/// The noise of a forward pass; off in evaluation.
Noise cnn_noise(const Input& input, const Pass& pass);

}  // namespace xp::model
