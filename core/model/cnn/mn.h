#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/model/cnn/cnn.h"
#include "core/model/registry.h"

namespace xp::model {

struct MnOptions : CnnOptions {
  /// What squeeze-and-excitation gates: letters of c (channels), f (mel rows), t (frames); "none".
  std::string se_dims = "c";
  schema::SqueezeMerge se_agg = schema::SqueezeMerge::kMax;
  int64_t squeeze_factor = 4;  ///< bottleneck = size / factor, rounded to 8
  int64_t attention_heads = 4;
  Geometry input{128, 1000};  ///< sizes the gates of "f" and "t"; otherwise any input fits
};

/// y = x * sigmoid(fc2(relu(fc1(mean over the other axes)))), for one axis or several, merged.
class SqueezeExcite : public Module {
 public:
  /// `sizes`: of each axis in `axes` (1 channels, 2 mel rows, 3 frames). Called with a map [B, C,
  /// F', T'] of another size on such an axis it throws Error.
  SqueezeExcite(std::vector<int64_t> axes, const std::vector<int64_t>& sizes,
                const MnOptions& options, const Init& init);
  at::Tensor operator()(const at::Tensor& x) const;

 protected:
  void members(Members& list) override;

 private:
  struct Gate : Module {
    int64_t axis = 1;
    Linear fc1, fc2;
    at::Tensor operator()(const at::Tensor& x) const;
    void members(Members& list) override;
  };
  schema::SqueezeMerge merge_;
  std::vector<Gate> gates_;
};

/// Names as EfficientAT's: "features.0.*" first convolution, "features.1..15.block.J.*" inverted
/// residuals (expand unless the widths agree, depthwise, gate, project), "features.16.*" last
/// convolution, "classifier.*".
class Mn : public Model {
 public:
  Mn(const MnOptions& options, const Init& init);

  Output forward(const Input& input, const Pass& pass) const override;
  /// The output of each of "features.0" .. "features.16", [B, C, F', T'].
  std::vector<at::Tensor> stages(const at::Tensor& mel) const;

  int64_t embedding_size() const override { return channels_; }
  int64_t classes() const override { return options_.classes; }
  Placement placement(std::string_view parameter) const override {
    return cnn_placement(parameter);
  }
  int64_t layers() const override { return kCnnLayers; }
  const MnOptions& options() const { return options_; }

 protected:
  void members(Members& list) override;

 private:
  struct Residual : Module {
    std::vector<ConvNorm> convs;      ///< [expand,] depthwise, project
    std::vector<SqueezeExcite> gate;  ///< none or one, before the projection
    bool shortcut = false;
    Maps operator()(const Maps& maps, const Training& training) const;
    void members(Members& list) override;
    friend class Mn;
  };
  /// The last maps of spectrograms [b, F, T]; `stages` gets those of each stage.
  Maps trunk(const Maps& mels, const Training& training, std::vector<Maps>* stages) const;

  MnOptions options_;
  int64_t channels_;
  ConvNorm first_;
  std::vector<Residual> blocks_;
  ConvNorm last_;
  CnnClassifier classifier_;
};

MnOptions mn_options(const ModelSpec& spec);
std::unique_ptr<Model> make_mn(const ModelSpec& spec);

}  // namespace xp::model
