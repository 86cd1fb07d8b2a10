#include "core/schema/cnn.h"

#include <algorithm>

namespace xp::schema {

int64_t channels_part(int64_t channels, int64_t divisor) {
  const int64_t part = channels / divisor;
  return make_divisible(static_cast<double>(part));
}

int64_t make_divisible(double channels) {
  auto rounded = std::max<int64_t>(8, static_cast<int64_t>(channels + 4) / 8 * 8);
  if (static_cast<double>(rounded) < 0.9 * channels) rounded += 8;
  return rounded;
}

std::vector<CnnStage> cnn_stages(double width, const std::array<int64_t, 4>& strides,
                                 bool reduced_tail, bool dilated) {
  const int64_t tail = reduced_tail ? 2 : 1;
  const int64_t spread = dilated ? 2 : 1;
  std::vector<CnnStage> stages = {
      {16, 3, 16, 16, false, false, 1, 1},
      {16, 3, 64, 24, false, false, strides[0], 1},
      {24, 3, 72, 24, false, false, 1, 1},
      {24, 5, 72, 40, true, false, strides[1], 1},
      {40, 5, 120, 40, true, false, 1, 1},
      {40, 5, 120, 40, true, false, 1, 1},
      {40, 3, 240, 80, false, true, strides[2], 1},
      {80, 3, 200, 80, false, true, 1, 1},
      {80, 3, 184, 80, false, true, 1, 1},
      {80, 3, 184, 80, false, true, 1, 1},
      {80, 3, 480, 112, true, true, 1, 1},
      {112, 3, 672, 112, true, true, 1, 1},
      {112, 5, 672, 160 / tail, true, true, strides[3], spread},
      {160 / tail, 5, 960 / tail, 160 / tail, true, true, 1, spread},
      {160 / tail, 5, 960 / tail, 160 / tail, true, true, 1, spread},
  };
  for (CnnStage& s : stages) {
    for (int64_t* channels : {&s.in, &s.expanded, &s.out})
      *channels = make_divisible(static_cast<double>(*channels) * width);
  }
  return stages;
}

int64_t cnn_hidden(double width, bool reduced_tail) {
  return make_divisible((reduced_tail ? 640 : 1280) * width);
}

int64_t dynamic_context(int64_t expanded, double width, const ContextSizes& sizes) {
  const auto scaled = [width](int64_t size) {
    return make_divisible(static_cast<double>(size) * width);
  };
  return std::min(std::max(channels_part(expanded, sizes.ratio), scaled(sizes.least)),
                  scaled(sizes.most));
}

ContextSizes context_sizes(const ModelOptions& model) {
  return {model.context_ratio, model.min_context_size, model.max_context_size};
}

namespace {

/// Adds up the layers of one network.
class Counter {
 public:
  Counter(const Arch& arch, const ModelOptions& model)
      : dymn_(arch.family == Family::k_dymn),
        replace_se_(arch.replace_se),
        width_(arch.width),
        model_(model),
        se_dims_(model.se_dims == "none" ? std::string_view() : std::string_view(model.se_dims)) {}

  /// `static_norm`: convolution, batch norm.
  void convolution(int64_t in, int64_t out, int64_t kernel, int64_t groups, double places) {
    const int64_t weights = out * (in / groups) * kernel * kernel;
    cost.parameters += weights + 2 * out;
    macs_ += static_cast<double>(weights) * places;
  }
  void linear(int64_t in, int64_t out, double times = 1) {
    cost.parameters += (in + 1) * out;
    macs_ += static_cast<double>(in * out) * times;
  }

  void block(const CnnStage& s, int64_t rows, int64_t columns, int64_t rows_out,
             int64_t columns_out) {
    const double before = static_cast<double>(rows * columns);
    const double after = static_cast<double>(rows_out * columns_out);
    if (dymn_ && (!replace_se_ || s.squeeze))
      return dynamic(s, rows, columns, rows_out, columns_out);
    if (s.expanded != s.in) convolution(s.in, s.expanded, 1, 1, before);
    convolution(s.expanded, s.expanded, s.kernel, s.expanded, after);
    if (s.squeeze && !dymn_) {
      for (const char dim : se_dims_) {
        const int64_t size = dim == 'c' ? s.expanded : dim == 'f' ? rows_out : columns_out;
        const int64_t squeezed = channels_part(size, model_.se_r);
        linear(size, squeezed);
        linear(squeezed, size);
      }
    }
    convolution(s.expanded, s.out, 1, 1, after);
  }

  Cost finish() {
    cost.gflop = 2e-9 * macs_;
    return cost;
  }

  Cost cost;

 private:
  /// K kernels, mixed by a softmax over a linear layer of the context, or one; batch norm.
  void dynamic_convolution(int64_t in, int64_t out, int64_t kernel, int64_t groups, int64_t context,
                           double places) {
    if (model_.no_dyconv) return convolution(in, out, kernel, groups, places);
    const int64_t weights = out * (in / groups) * kernel * kernel;
    cost.parameters += model_.dyconv_k * weights + 2 * out;
    macs_ += static_cast<double>(weights) * (places + static_cast<double>(model_.dyconv_k));
    linear(context, model_.dyconv_k);
  }
  void dynamic(const CnnStage& s, int64_t rows, int64_t columns, int64_t rows_out,
               int64_t columns_out) {
    const int64_t context = dynamic_context(s.expanded, width_, context_sizes(model_));
    const double after = static_cast<double>(rows_out * columns_out);
    if (s.expanded != s.in)
      dynamic_convolution(s.in, s.expanded, 1, 1, context, static_cast<double>(rows * columns));
    dynamic_convolution(s.expanded, s.expanded, s.kernel, s.expanded, context, after);
    if (!model_.no_dyrelu) linear(context, 2 * model_.dyrelu_k * s.expanded);
    dynamic_convolution(s.expanded, s.out, 1, 1, context, after);
    convolution(s.in, context, 1, 1, static_cast<double>(rows + columns));
    // Without coordinate attention its layers are there all the same, unused.
    linear(context, s.expanded, model_.no_ca ? 0 : static_cast<double>(rows_out));
    linear(context, s.expanded, model_.no_ca ? 0 : static_cast<double>(columns_out));
  }

  bool dymn_;
  bool replace_se_;
  double width_;
  const ModelOptions& model_;
  std::string_view se_dims_;
  double macs_ = 0;
};

int64_t reduced(int64_t length, int64_t stride) { return (length - 1) / stride + 1; }

}  // namespace

Cost cnn_cost(const ModelOptions& model, const Geometry& input, int64_t classes) {
  const Arch arch = model.resolved();
  if (!is_cnn(arch.family)) return {};
  Counter count(arch, model);
  const auto stages = cnn_stages(arch.width, arch.strides, model.reduced_tail, model.dilated);
  int64_t rows = reduced(input.F, 2);
  int64_t columns = reduced(input.T, 2);
  count.convolution(1, stages[0].in, 3, 1, static_cast<double>(rows * columns));
  for (const CnnStage& s : stages) {
    const int64_t stride = s.dilation > 1 ? 1 : s.stride;
    const int64_t rows_out = reduced(rows, stride);
    const int64_t columns_out = reduced(columns, stride);
    count.block(s, rows, columns, rows_out, columns_out);
    rows = rows_out;
    columns = columns_out;
  }
  const int64_t channels = 6 * stages.back().out;
  const double places = static_cast<double>(rows * columns);
  count.convolution(stages.back().out, channels, 1, 1, places);
  switch (model.cnn_head) {
    case CnnHead::kMlp: {
      const int64_t hidden = cnn_hidden(arch.width, model.reduced_tail);
      count.linear(channels, hidden);
      count.linear(hidden, classes);
      break;
    }
    case CnnHead::kConv:
      count.convolution(channels, classes, 1, 1, places);
      break;
    case CnnHead::kAttention:
      count.linear(channels, classes * 2 * model.multihead_attention_heads,
                   static_cast<double>(columns));
      count.cost.parameters += model.multihead_attention_heads;
      break;
  }
  return count.finish();
}

}  // namespace xp::schema
