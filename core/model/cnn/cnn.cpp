#include "core/model/cnn/cnn.h"

#include <charconv>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/full.h>
#include <ATen/ops/sigmoid.h>

#include "core/base/error.h"

namespace xp::model {

using schema::CnnHead;

CnnOptions cnn_options(const ModelSpec& spec) {
  CnnOptions o;
  const schema::Arch arch = spec.options.resolved();
  o.width = arch.width;
  o.strides = arch.strides;
  o.classes = spec.classes;
  o.head = spec.options.cnn_head;
  o.dropout = spec.options.dropout;
  o.reduced_tail = spec.options.reduced_tail;
  o.dilated = spec.options.dilated;
  return o;
}

CnnClassifier::CnnClassifier(int64_t channels, int64_t hidden, const CnnOptions& options,
                             int64_t attention_heads, const Init& init)
    : options_(options) {
  switch (options.head) {
    case CnnHead::kMlp:
      hidden_ = classifier_linear(channels, hidden, init.child("2"));
      output_ = classifier_linear(hidden, options.classes, init.child("5"));
      return;
    case CnnHead::kConv: {
      ConvOptions conv;
      conv.in = channels;
      conv.out = options.classes;
      conv_ = kaiming_conv(init, "0.weight", conv);
      norm_ = BatchNorm(options.classes, 1e-5, 0.1, init.child("1"));
      return;
    }
    case CnnHead::kAttention:
      subspace_ = classifier_linear(channels, options.classes * 2 * attention_heads,
                                    init.child("subspace_proj"));
      head_weight_ =
          init.constant({1, attention_heads, 1}, 1.0 / static_cast<double>(attention_heads));
      return;
  }
}

Output CnnClassifier::operator()(const Maps& maps, const Widths& widths, const Training& training,
                                 const Noise& noise) const {
  const auto means = [&](const Maps& of) {
    return widths.restore(on_each(of, [](const at::Tensor& map) { return map.mean({2, 3}); }));
  };
  Output out;
  out.embedding = means(maps);
  switch (options_.head) {
    case CnnHead::kMlp: {
      const at::Tensor hidden = activate(hidden_(out.embedding), Activation::kHardswish);
      out.logits =
          output_(noise.dropout(hidden, {{hidden.size(0), 1}}, options_.dropout, "classifier", 0));
      break;
    }
    case CnnHead::kConv:
      out.logits = means(norm_(
          on_each(maps, [&](const at::Tensor& map) { return at::conv2d(map, conv_); }), training));
      break;
    case CnnHead::kAttention:
      out.logits =
          widths.restore(on_each(maps, [&](const at::Tensor& map) { return attend(map); }));
      break;
  }
  return out;
}

at::Tensor CnnClassifier::attend(const at::Tensor& map) const {
  const at::Tensor frames = map.mean(2).transpose(1, 2);  // [B, T', C]
  const int64_t heads = head_weight_.size(1);
  const at::Tensor both = subspace_(frames)
                              .reshape({frames.size(0), frames.size(1), 2, heads, options_.classes})
                              .permute({2, 0, 3, 1, 4});
  constexpr double kLeast = 1e-7;  // PSLA's clamp, which keeps the sum from vanishing
  at::Tensor share = both[0].sigmoid().clamp(kLeast, 1 - kLeast);
  share = share / share.sum(2, /*keepdim=*/true);
  return ((share * both[1]).sum(2) * head_weight_).sum(1);
}

void CnnClassifier::members(Members& list) {
  if (options_.head == CnnHead::kMlp && hidden_.weight.defined()) {
    list.child("2", hidden_);
    list.child("5", output_);
  }
  list.parameter("0.weight", conv_);
  if (norm_.weight.defined()) list.child("1", norm_);
  list.parameter("head_weight", head_weight_);
  if (subspace_.weight.defined()) list.child("subspace_proj", subspace_);
}

Placement cnn_placement(std::string_view parameter) {
  const auto starts = [&](std::string_view prefix) {
    return parameter.substr(0, prefix.size()) == prefix;
  };
  const auto index_after = [&](std::string_view prefix) {
    int64_t index = 0;
    const char* const begin = parameter.data() + prefix.size();
    std::from_chars(begin, parameter.data() + parameter.size(), index);
    return index;
  };
  if (starts("classifier.")) return {kCnnLayers - 1, true};
  if (starts("features.")) return {index_after("features."), false};
  if (starts("layers.")) return {index_after("layers.") + 1, false};
  if (starts("out_c.")) return {kCnnLayers - 2, false};
  return {0, false};
}

at::Tensor first_map(const at::Tensor& mel) {
  // One channel is laid out alike in both orders, so `contiguous` would not tell it.
  return mel.is_cpu() ? mel.unsqueeze(3).permute({0, 3, 1, 2}) : mel.unsqueeze(1);
}

Maps mels_of(const Input& input, const Widths& widths) {
  Maps mels;
  for (const Widths::Group& group : widths.groups())
    mels.push_back(widths.mel(input, group, group.width).contiguous());
  return mels;
}

Noise cnn_noise(const Input& input, const Pass& pass) {
  return pass.training ? Noise(input.draws) : Noise();
}

}  // namespace xp::model
