#include "core/model/cnn/mn.h"

#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/stack.h>
#include <fmt/format.h>

#include "core/base/error.h"

namespace xp::model {

SqueezeExcite::SqueezeExcite(std::vector<int64_t> axes, const std::vector<int64_t>& sizes,
                             const MnOptions& options, const Init& init)
    : merge_(options.se_agg) {
  for (size_t i = 0; i < axes.size(); ++i) {
    const Init scope = init.child("conc_se_layers." + std::to_string(i));
    const int64_t squeezed = schema::channels_part(sizes[i], options.squeeze_factor);
    Gate gate;
    gate.axis = axes[i];
    gate.fc1 = classifier_linear(sizes[i], squeezed, scope.child("fc1"));
    gate.fc2 = classifier_linear(squeezed, sizes[i], scope.child("fc2"));
    gates_.push_back(std::move(gate));
  }
}

at::Tensor SqueezeExcite::Gate::operator()(const at::Tensor& x) const {
  std::vector<int64_t> others;
  std::vector<int64_t> wide(4, 1);
  for (int64_t a = 1; a < 4; ++a) {
    if (a != axis) others.push_back(a);
  }
  if (x.size(axis) != fc2.weight.size(0)) {
    throw Error(fmt::format(
        "model.se_dims gates {} {} where this input has {}: give the model inputs of the size that "
        "it was made for",
        fc2.weight.size(0), axis == 2 ? "mel rows" : "frames", x.size(axis)));
  }
  wide[0] = x.size(0);
  wide[static_cast<size_t>(axis)] = x.size(axis);
  const at::Tensor gate = fc2(activate(fc1(x.mean(others)), Activation::kRelu)).sigmoid();
  return x * gate.reshape(wide);
}

void SqueezeExcite::Gate::members(Members& list) {
  list.child("fc1", fc1);
  list.child("fc2", fc2);
}

at::Tensor SqueezeExcite::operator()(const at::Tensor& x) const {
  if (gates_.size() == 1) return gates_[0](x);
  std::vector<at::Tensor> gated;
  for (const Gate& gate : gates_) gated.push_back(gate(x));
  const at::Tensor all = at::stack(gated);
  switch (merge_) {
    case schema::SqueezeMerge::kMax:
      return all.amax(0);
    case schema::SqueezeMerge::kAvg:
      return all.mean(0);
    case schema::SqueezeMerge::kAdd:
      return all.sum(0);
    case schema::SqueezeMerge::kMin:
      return all.amin(0);
  }
  XP_CHECK(false, "a merge without a rule");
  return {};
}

void SqueezeExcite::members(Members& list) { list.children("conc_se_layers", gates_); }

Maps Mn::Residual::operator()(const Maps& maps, const Training& training) const {
  Maps y = maps;
  for (size_t i = 0; i + 1 < convs.size(); ++i) y = convs[i](y, training);
  if (!gate.empty()) y = on_each(y, gate[0]);
  y = convs.back()(y, training);
  return shortcut ? add_shortcut(y, maps) : y;
}

void Mn::Residual::members(Members& list) {
  // The gate stands between the depthwise convolution and the projection, and counts.
  size_t position = 0;
  for (size_t i = 0; i < convs.size(); ++i) {
    if (i + 1 == convs.size() && !gate.empty())
      list.child("block." + std::to_string(position++), gate[0]);
    list.child("block." + std::to_string(position++), convs[i]);
  }
}

Mn::Mn(const MnOptions& options, const Init& init) : options_(options) {
  const Init features = init.child("features");
  const auto stages =
      schema::cnn_stages(options.width, options.strides, options.reduced_tail, options.dilated);
  const auto conv = [](int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation,
                       int64_t groups) {
    return ConvOptions{in, out, kernel, stride, dilation, groups};
  };
  const ConvOptions entry = conv(1, stages[0].in, 3, 2, 1, 1);
  first_ = ConvNorm(entry, Activation::kHardswish, features.child("0"));
  int64_t rows = entry.output(options.input.F);
  int64_t frames = entry.output(options.input.T);
  for (size_t i = 0; i < stages.size(); ++i) {
    const schema::CnnStage& s = stages[i];
    const Init scope = features.child(std::to_string(i + 1)).child("block");
    Residual block;
    size_t position = 0;
    const auto next = [&] { return scope.child(std::to_string(position++)); };
    if (s.expanded != s.in)
      block.convs.emplace_back(conv(s.in, s.expanded, 1, 1, 1, 1), activation_of(s), next());
    const ConvOptions depthwise = conv(s.expanded, s.expanded, s.kernel,
                                       s.dilation > 1 ? 1 : s.stride, s.dilation, s.expanded);
    block.convs.emplace_back(depthwise, activation_of(s), next());
    rows = depthwise.output(rows);
    frames = depthwise.output(frames);
    if (s.squeeze && options.se_dims != "none") {
      std::vector<int64_t> axes;
      std::vector<int64_t> sizes;
      for (const char letter : options.se_dims) {
        axes.push_back(letter == 'c' ? 1 : letter == 'f' ? 2 : 3);
        sizes.push_back(letter == 'c' ? s.expanded : letter == 'f' ? rows : frames);
      }
      block.gate.emplace_back(std::move(axes), sizes, options, next());
    }
    block.convs.emplace_back(conv(s.expanded, s.out, 1, 1, 1, 1), Activation::kNone, next());
    block.shortcut = s.stride == 1 && s.in == s.out;
    blocks_.push_back(std::move(block));
  }
  channels_ = 6 * stages.back().out;
  last_ = ConvNorm(conv(stages.back().out, channels_, 1, 1, 1, 1), Activation::kHardswish,
                   features.child("16"));
  const int64_t hidden = schema::cnn_hidden(options.width, options.reduced_tail);
  classifier_ =
      CnnClassifier(channels_, hidden, options, options.attention_heads, init.child("classifier"));
}

Maps Mn::trunk(const Maps& mels, const Training& training, std::vector<Maps>* stages) const {
  const auto type = first_.weight().scalar_type();
  Maps x = first_(on_each(mels, [&](const at::Tensor& mel) { return first_map(mel.to(type)); }),
                  training);
  if (stages != nullptr) stages->push_back(x);
  for (const Residual& block : blocks_) {
    x = block(x, training);
    if (stages != nullptr) stages->push_back(x);
  }
  x = last_(x, training);
  if (stages != nullptr) stages->push_back(x);
  return x;
}

std::vector<at::Tensor> Mn::stages(const at::Tensor& mel) const {
  std::vector<Maps> all;
  trunk({mel}, Training(), &all);
  std::vector<at::Tensor> out;
  for (const Maps& stage : all) out.push_back(stage[0]);
  return out;
}

Output Mn::forward(const Input& input, const Pass& pass) const {
  const Widths widths(input.spectrograms.frames);
  const Training training(pass, widths);
  return classifier_(trunk(mels_of(input, widths), training, nullptr), widths, training,
                     cnn_noise(input, pass));
}

void Mn::members(Members& list) {
  list.child("features.0", first_);
  for (size_t i = 0; i < blocks_.size(); ++i)
    list.child("features." + std::to_string(i + 1), blocks_[i]);
  list.child("features.16", last_);
  list.child("classifier", classifier_);
}

MnOptions mn_options(const ModelSpec& spec) {
  MnOptions o;
  static_cast<CnnOptions&>(o) = cnn_options(spec);
  o.se_dims = spec.options.se_dims;
  o.se_agg = spec.options.se_agg;
  o.squeeze_factor = spec.options.se_r;
  o.attention_heads = spec.options.multihead_attention_heads;
  o.input = spec.geometry;
  return o;
}

std::unique_ptr<Model> make_mn(const ModelSpec& spec) {
  return std::make_unique<Mn>(mn_options(spec), spec.init());
}

}  // namespace xp::model
