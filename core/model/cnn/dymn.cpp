#include "core/model/cnn/dymn.h"

#include <algorithm>
#include <string>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include "core/base/error.h"

namespace xp::model {

double dymn_temperature(const DymnOptions& o, uint64_t epoch) {
  const auto e = static_cast<double>(epoch);
  const double late = 1 + o.tail * (o.start_temperature - 1) / o.slope - o.tail * e;
  return std::max({o.start_temperature - o.slope * e, late, o.least_temperature});
}

DynamicConv::DynamicConv(const ConvOptions& o, int64_t context, int64_t kernels, const Init& init)
    : options_(o) {
  if (kernels == 0) {
    weight_ = kaiming_conv(init, "module.weight", o);
    return;
  }
  residual_ = classifier_linear(context, kernels, init.child("residuals").child("0"));
  const int64_t inner = o.in / o.groups;
  weight_ = init.weight(Part::kConvolution, "weight",
                        {1, 1, kernels, o.out * inner * o.kernel * o.kernel},
                        {o.out, inner, o.kernel, o.kernel});
}

at::Tensor DynamicConv::convolve(const at::Tensor& x, const at::Tensor& context,
                                 const at::Tensor& temperature, const at::Tensor& weights,
                                 const at::Tensor& bias) const {
  const int64_t batch = x.size(0);
  const int64_t inner = options_.in / options_.groups;
  if (!mixes()) {
    return at::conv2d(x, weights, bias.defined() ? std::optional(bias) : std::nullopt,
                      options_.stride, options_.padding(), options_.dilation, options_.groups);
  }
  const at::Tensor mix =
      at::softmax(residual_(context) / temperature.to(x.scalar_type()), -1);  // [B, K]
  const at::Tensor mixed = at::matmul(mix, weights.flatten(0, 2));  // [B, out * inner * k * k]
  if (options_.kernel == 1 && options_.groups == 1 && options_.stride == 1) {
    const at::Tensor kernel = mixed.reshape({batch, options_.out, inner});
    const at::Tensor flat = x.flatten(2);
    const at::Tensor y =
        bias.defined()
            ? at::baddbmm(bias.reshape({1, -1, 1}).to(kernel.scalar_type()), kernel, flat)
            : at::bmm(kernel, flat);
    return y.reshape({batch, options_.out, x.size(2), x.size(3)});
  }
  // All clips at once: channels of the batch side by side, in as many groups.
  const at::Tensor kernel =
      mixed.reshape({batch * options_.out, inner, options_.kernel, options_.kernel});
  const at::Tensor side = x.reshape({1, batch * options_.in, x.size(2), x.size(3)});
  const std::optional<at::Tensor> shift =
      bias.defined() ? std::optional(bias.repeat({batch})) : std::nullopt;
  const at::Tensor y = at::conv2d(side, kernel, shift, options_.stride, options_.padding(),
                                  options_.dilation, batch * options_.groups);
  return y.reshape({batch, options_.out, y.size(2), y.size(3)});
}

Maps DynamicConv::operator()(const Maps& maps, const std::vector<DynamicContext>& context,
                             const at::Tensor& temperature, const BatchNorm& norm,
                             const Training& training) const {
  // Without a gradient the norm is multiplied into the K kernels, so that it costs nothing per
  // clip.
  const bool fold = !training && !at::GradMode::is_enabled();
  at::Tensor weights = weight_;
  at::Tensor bias;
  if (fold) {
    FoldedWeights::Pair folded = folded_.get(weight_, mixes() ? 3 : 0, norm);
    weights = folded.weight;
    bias = folded.bias;
  } else {
    folded_.forget();
  }
  Maps y;
  for (size_t i = 0; i < maps.size(); ++i)
    y.push_back(convolve(maps[i], context[i].summary, temperature, weights, bias));
  return fold ? y : norm(y, training);
}

void DynamicConv::members(Members& list) {
  list.parameter(mixes() ? "weight" : "module.weight", weight_);
  if (mixes()) list.child("residuals.0", residual_);
}

DynamicRelu::DynamicRelu(int64_t channels, int64_t context, int64_t lines, const Init& init)
    : coefficients_(
          classifier_linear(context, 2 * lines * channels, init.child("coef_net").child("0"))),
      lambdas_(at::cat({at::ones({lines}), at::ones({lines}) / 2})),
      start_(at::zeros({2 * lines})) {
  start_.narrow(0, 0, 1).fill_(1);
}

at::Tensor DynamicRelu::operator()(const at::Tensor& x, const at::Tensor& context) const {
  const at::Tensor theta = coefficients_(context).sigmoid() * 2 - 1;
  const int64_t lines = lambdas_.size(0) / 2;
  const at::Tensor c =
      (theta.reshape({x.size(0), x.size(1), 2 * lines}) * lambdas_ + start_).to(x.scalar_type());
  const auto line = [&](int64_t i) {
    return at::addcmul(c.select(2, lines + i).unsqueeze(-1).unsqueeze(-1), x,
                       c.select(2, i).unsqueeze(-1).unsqueeze(-1));
  };
  at::Tensor y = line(0);
  for (int64_t i = 1; i < lines; ++i) y = at::maximum(y, line(i));
  return y;
}

void DynamicRelu::members(Members& list) {
  list.buffer("lambdas", lambdas_);
  list.buffer("init_v", start_);
  list.child("coef_net.0", coefficients_);
}

ContextGenerator::ContextGenerator(int64_t in, int64_t context, int64_t expanded, int64_t stride,
                                   bool gates, const Init& init)
    : stride_(stride), gates_(gates), norm_(context, 1e-3, 0.01, init.child("joint_norm")) {
  ConvOptions joint;
  joint.in = in;
  joint.out = context;
  joint_ = kaiming_conv(init, "joint_conv.weight", joint);
  ConvOptions gate;
  gate.in = context;
  gate.out = expanded;
  rows_.weight = kaiming_conv(init, "conv_f.weight", gate);
  rows_.bias = init.constant({expanded}, 0);
  columns_.weight = kaiming_conv(init, "conv_t.weight", gate);
  columns_.bias = init.constant({expanded}, 0);
}

std::vector<DynamicContext> ContextGenerator::operator()(const Maps& maps,
                                                         const Training& training) const {
  const auto convolved = [&](const at::Tensor& x) {
    const at::Tensor by_row = x.mean(3, /*keepdim=*/true);  // [B, C, F', 1]
    const at::Tensor by_column =
        x.mean(2, /*keepdim=*/true).permute({0, 1, 3, 2});  // [B, C, T', 1]
    return at::conv2d(at::cat({by_row, by_column}, 2), joint_);
  };
  const Maps all = activate(norm_(on_each(maps, convolved), training), Activation::kHardswish);
  std::vector<DynamicContext> contexts;
  for (size_t i = 0; i < maps.size(); ++i) {
    const at::Tensor& x = maps[i];
    const at::Tensor& joint = all[i];
    DynamicContext& out = contexts.emplace_back();
    out.summary = joint.mean({2, 3});
    if (!gates_) continue;
    at::Tensor rows = joint.narrow(2, 0, x.size(2));
    at::Tensor columns = joint.narrow(2, x.size(2), x.size(3)).permute({0, 1, 3, 2});
    if (stride_ > 1) {
      rows = at::avg_pool2d(rows, {3, 1}, {stride_, 1}, {1, 0});
      columns = at::avg_pool2d(columns, {1, 3}, {1, stride_}, {0, 1});
    }
    out.rows = at::conv2d(rows, rows_.weight, rows_.bias).sigmoid();
    out.columns = at::conv2d(columns, columns_.weight, columns_.bias).sigmoid();
  }
  return contexts;
}

void ContextGenerator::members(Members& list) {
  list.parameter("joint_conv.weight", joint_);
  list.child("joint_norm", norm_);
  list.child("conv_f", rows_);
  list.child("conv_t", columns_);
}

Maps Dymn::Block::operator()(const Maps& maps, const at::Tensor& temperature,
                             const Training& training) const {
  Maps y = maps;
  if (dynamic) {
    const std::vector<DynamicContext> seen = context(maps, training);
    const auto convolve = [&](const DynamicConv& conv, const BatchNorm& norm) {
      y = conv(y, seen, temperature, norm, training);
    };
    if (expands) {
      convolve(exp_conv, exp_norm);
      y = activate(y, activation);
    }
    convolve(depth_conv, depth_norm);
    for (size_t i = 0; i < y.size(); ++i) {
      y[i] = dynamic_relu ? relu(y[i], seen[i].summary) : activate(y[i], activation);
      if (seen[i].rows.defined()) y[i] = y[i] * seen[i].rows * seen[i].columns;
    }
    convolve(proj_conv, proj_norm);
  } else {
    for (const ConvNorm& conv : convs) y = conv(y, training);
  }
  return shortcut ? add_shortcut(y, maps) : y;
}

void Dymn::Block::members(Members& list) {
  if (!dynamic) {
    list.children("block", convs);
    return;
  }
  if (expands) {
    list.child("exp_conv", exp_conv);
    list.child("exp_norm", exp_norm);
  }
  list.child("depth_conv", depth_conv);
  list.child("depth_norm", depth_norm);
  if (dynamic_relu) list.child("depth_act", relu);
  list.child("proj_conv", proj_conv);
  list.child("proj_norm", proj_norm);
  list.child("context_gen", context);
}

Dymn::Block Dymn::make_block(const schema::CnnStage& s, bool dynamic, const DymnOptions& options,
                             const Init& init) {
  const int64_t stride = s.dilation > 1 ? 1 : s.stride;
  ConvOptions expand{s.in, s.expanded, 1, 1, 1, 1};
  ConvOptions depthwise{s.expanded, s.expanded, s.kernel, stride, s.dilation, s.expanded};
  ConvOptions project{s.expanded, s.out, 1, 1, 1, 1};
  Block block;
  block.dynamic = dynamic;
  block.activation = activation_of(s);
  block.expands = s.expanded != s.in;
  block.shortcut = s.stride == 1 && s.in == s.out;
  if (!dynamic) {
    const auto next = [&] { return init.child("block").child(std::to_string(block.convs.size())); };
    if (block.expands) block.convs.emplace_back(expand, activation_of(s), next());
    block.convs.emplace_back(depthwise, activation_of(s), next());
    block.convs.emplace_back(project, Activation::kNone, next());
    return block;
  }
  const int64_t context = schema::dynamic_context(s.expanded, options.width, options.context);
  const auto norm = [&](const char* name, int64_t channels) {
    return BatchNorm(channels, 1e-3, 0.01, init.child(name));
  };
  if (block.expands) {
    block.exp_conv = DynamicConv(expand, context, options.kernels, init.child("exp_conv"));
    block.exp_norm = norm("exp_norm", s.expanded);
  }
  block.depth_conv = DynamicConv(depthwise, context, options.kernels, init.child("depth_conv"));
  block.depth_norm = norm("depth_norm", s.expanded);
  block.dynamic_relu = options.relu_lines > 0;
  if (block.dynamic_relu) {
    block.relu = DynamicRelu(s.expanded, context, options.relu_lines, init.child("depth_act"));
  }
  block.proj_conv = DynamicConv(project, context, options.kernels, init.child("proj_conv"));
  block.proj_norm = norm("proj_norm", s.out);
  block.context = ContextGenerator(s.in, context, s.expanded, stride, options.coordinate_attention,
                                   init.child("context_gen"));
  return block;
}

Dymn::Dymn(const DymnOptions& options, double temperature, const Init& init)
    : options_(options), temperature_(Init::buffer({}, temperature)) {
  if (options.head == schema::CnnHead::kAttention) {
    throw Error("model.cnn_head = \"attention\" is for mn architectures; dymn has mlp and conv");
  }
  const auto stages =
      schema::cnn_stages(options.width, options.strides, options.reduced_tail, options.dilated);
  first_ = ConvNorm({1, stages[0].in, 3, 2, 1, 1}, Activation::kHardswish, init.child("in_c"));
  for (size_t i = 0; i < stages.size(); ++i) {
    const bool dynamic = !options.replace_se || stages[i].squeeze;
    blocks_.push_back(
        make_block(stages[i], dynamic, options, init.child("layers").child(std::to_string(i))));
  }
  channels_ = 6 * stages.back().out;
  last_ = ConvNorm({stages.back().out, channels_, 1, 1, 1, 1}, Activation::kHardswish,
                   init.child("out_c"));
  const int64_t hidden = schema::cnn_hidden(options.width, options.reduced_tail);
  classifier_ = CnnClassifier(channels_, hidden, options, 0, init.child("classifier"));
}

Maps Dymn::trunk(const Maps& mels, const Training& training, std::vector<Maps>* stages) const {
  const auto type = first_.weight().scalar_type();
  Maps x = first_(on_each(mels, [&](const at::Tensor& mel) { return mel.unsqueeze(1).to(type); }),
                  training);
  if (stages != nullptr) stages->push_back(x);
  for (const Block& block : blocks_) {
    x = block(x, temperature_, training);
    if (stages != nullptr) stages->push_back(x);
  }
  x = last_(x, training);
  if (stages != nullptr) stages->push_back(x);
  return x;
}

std::vector<at::Tensor> Dymn::stages(const at::Tensor& mel) const {
  std::vector<Maps> all;
  trunk({mel}, Training(), &all);
  std::vector<at::Tensor> out;
  for (const Maps& stage : all) out.push_back(stage[0]);
  return out;
}

Output Dymn::forward(const Input& input, const Pass& pass) const {
  if (pass.training) {
    const at::NoGradGuard no_grad;
    at::Tensor temperature = temperature_;
    temperature.fill_(dymn_temperature(options_, input.draws.epoch));
  }
  const Widths widths(input.spectrograms.frames);
  const Training training(pass, widths);
  return classifier_(trunk(mels_of(input, widths), training, nullptr), widths, training,
                     cnn_noise(input, pass));
}

void Dymn::members(Members& list) {
  list.child("in_c", first_);
  list.children("layers", blocks_);
  list.child("out_c", last_);
  list.child("classifier", classifier_);
  list.buffer("temperature", temperature_);
}

DymnOptions dymn_options(const ModelSpec& spec) {
  DymnOptions o;
  static_cast<CnnOptions&>(o) = cnn_options(spec);
  o.kernels = spec.options.no_dyconv ? 0 : spec.options.dyconv_k;
  o.relu_lines = spec.options.no_dyrelu ? 0 : spec.options.dyrelu_k;
  o.coordinate_attention = !spec.options.no_ca;
  o.context = schema::context_sizes(spec.options);
  o.replace_se = spec.options.resolved().replace_se;
  o.start_temperature = spec.options.dy_temperature;
  o.slope = spec.options.dy_temperature_slope;
  o.tail = spec.options.dy_temperature_tail;
  o.least_temperature = spec.options.dy_temperature_least;
  return o;
}

std::unique_ptr<Model> make_dymn(const ModelSpec& spec) {
  return std::make_unique<Dymn>(dymn_options(spec), spec.options.dy_temperature, spec.init());
}

}  // namespace xp::model
