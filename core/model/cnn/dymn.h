#pragma once

#include <memory>
#include <vector>

#include "core/model/cnn/cnn.h"
#include "core/model/cnn/mn.h"
#include "core/model/registry.h"

namespace xp::model {

struct DymnOptions : CnnOptions {
  bool replace_se = false;  ///< dynamic blocks only where MobileNet has squeeze-and-excitation
  int64_t kernels = 4;      ///< K kernels mixed by each dynamic convolution; 0: plain convolutions
  int64_t relu_lines = 2;   ///< M lines of a dynamic ReLU; 0: the activation of MobileNet
  bool coordinate_attention = true;  ///< else its layers are there all the same, unused
  schema::ContextSizes context;
  /// Temperature of the softmax over kernels after epoch e of training:
  /// max(start - slope e, 1 + tail (start - 1) / slope - tail e, least).
  double start_temperature = 30;
  double slope = 1;
  double tail = 0.02;
  double least_temperature = 1;
};

/// The schedule above.
double dymn_temperature(const DymnOptions& options, uint64_t epoch);

/// What a block's dynamic parts see of its input: [B, H] a summary, [B, C, F', 1] and [B, C, 1, T']
/// gates (undefined without coordinate attention).
struct DynamicContext {
  at::Tensor summary, rows, columns;
};

/// A convolution whose kernel is a mixture of K, weighted by softmax(linear(context) / temperature)
/// for each clip. "weight" [1, 1, K, out * in / groups * kernel^2], "residuals.0.*". With K = 0 an
/// ordinary convolution, "module.weight".
class DynamicConv : public Module {
 public:
  DynamicConv() = default;
  DynamicConv(const ConvOptions& options, int64_t context, int64_t kernels, const Init& init);
  /// Then batch norm. `context`: what each clip's kernel is made of.
  Maps operator()(const Maps& maps, const std::vector<DynamicContext>& context,
                  const at::Tensor& temperature, const BatchNorm& norm,
                  const Training& training) const;

 protected:
  void members(Members& list) override;

 private:
  /// Of the clips of one map, by kernels [1, 1, K, ..] or the one kernel that `weights` are.
  at::Tensor convolve(const at::Tensor& x, const at::Tensor& context, const at::Tensor& temperature,
                      const at::Tensor& weights, const at::Tensor& bias) const;
  bool mixes() const { return residual_.weight.defined(); }

  ConvOptions options_;
  at::Tensor weight_;
  Linear residual_;
  FoldedWeights folded_;
};

/// Dynamic ReLU: for each clip and channel the largest of M lines, whose slopes and offsets come
/// from the context (Chen et al. 2020, "Dynamic ReLU", form B).
class DynamicRelu : public Module {
 public:
  DynamicRelu() = default;
  DynamicRelu(int64_t channels, int64_t context, int64_t lines, const Init& init);
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& context) const;

 protected:
  void members(Members& list) override;

 private:
  Linear coefficients_;
  at::Tensor lambdas_, start_;  ///< [2 M] buffers: how far coefficients may move, and from where
};

/// "joint_conv.weight", "joint_norm.*", "conv_f.*", "conv_t.*".
class ContextGenerator : public Module {
 public:
  ContextGenerator() = default;
  ContextGenerator(int64_t in, int64_t context, int64_t expanded, int64_t stride, bool gates,
                   const Init& init);
  std::vector<DynamicContext> operator()(const Maps& maps, const Training& training) const;

 protected:
  void members(Members& list) override;

 private:
  int64_t stride_ = 1;
  bool gates_ = true;  ///< rows and columns are computed
  at::Tensor joint_;
  BatchNorm norm_;
  Linear rows_, columns_;  ///< 1 x 1 convolutions, [C, H, 1, 1]
};

/// Names as EfficientAT's: "in_c.*", "layers.0..14.*", "out_c.*", "classifier.*". One buffer is
/// ours: "temperature", which training sets from its schedule and evaluation uses. The originals
/// keep it in no checkpoint; `temperature` is its value until training or a checkpoint of ours sets
/// it.
class Dymn : public Model {
 public:
  Dymn(const DymnOptions& options, double temperature, const Init& init);

  Output forward(const Input& input, const Pass& pass) const override;
  /// The output of "in_c", each of "layers", "out_c".
  std::vector<at::Tensor> stages(const at::Tensor& mel) const;

  int64_t embedding_size() const override { return channels_; }
  int64_t classes() const override { return options_.classes; }
  Placement placement(std::string_view parameter) const override {
    return cnn_placement(parameter);
  }
  int64_t layers() const override { return kCnnLayers; }
  const DymnOptions& options() const { return options_; }

 protected:
  void members(Members& list) override;

 private:
  /// One dynamic block, or MobileNet's static one without a gate.
  struct Block : Module {
    bool dynamic = true;
    bool shortcut = false;
    bool expands = false;
    bool dynamic_relu = true;
    Activation activation = Activation::kRelu;
    ContextGenerator context;
    DynamicConv exp_conv, depth_conv, proj_conv;
    BatchNorm exp_norm, depth_norm, proj_norm;
    DynamicRelu relu;
    std::vector<ConvNorm> convs;  ///< of the static block
    Block() = default;
    Maps operator()(const Maps& maps, const at::Tensor& temperature,
                    const Training& training) const;
    void members(Members& list) override;
  };
  static Block make_block(const schema::CnnStage& stage, bool dynamic, const DymnOptions& options,
                          const Init& init);
  /// The last maps of spectrograms [b, F, T]; `stages` gets those of each stage.
  Maps trunk(const Maps& mels, const Training& training, std::vector<Maps>* stages) const;

  DymnOptions options_;
  int64_t channels_;
  ConvNorm first_;
  std::vector<Block> blocks_;
  ConvNorm last_;
  CnnClassifier classifier_;
  at::Tensor temperature_;
};

DymnOptions dymn_options(const ModelSpec& spec);
std::unique_ptr<Model> make_dymn(const ModelSpec& spec);

}  // namespace xp::model
