#include "core/model/files/cnn_file.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.h"
#include "core/model/cnn/cnn_layers.h"
#include "core/schema/cnn.h"

namespace xp::model {
namespace {

using checkpoint::Archive;
using schema::CnnStage;
using schema::ModelOptions;

using Shape = std::vector<int64_t>;

/// Shapes by name, wrappers in front of the name left out.
class Shapes {
 public:
  explicit Shapes(const Archive& archive) : archive_(archive) {}

  /// nullptr where there is no such tensor of that many axes.
  const Shape* find(const std::string& name, size_t axes) const {
    for (const checkpoint::Entry& e : archive_.entries()) {
      if (e.shape.size() != axes || !e.name.ends_with(name)) continue;
      if (e.name.size() == name.size() || e.name[e.name.size() - name.size() - 1] == '.')
        return &e.shape;
    }
    return nullptr;
  }
  bool any(const std::string& part) const {
    return std::any_of(
        archive_.entries().begin(), archive_.entries().end(),
        [&](const checkpoint::Entry& e) { return e.name.find(part) != e.name.npos; });
  }

 private:
  const Archive& archive_;
};

std::vector<CnnStage> stages_of(const ModelOptions& options) {
  const schema::Arch arch = options.resolved();
  return schema::cnn_stages(arch.width, arch.strides, options.reduced_tail, options.dilated);
}

int64_t read_head(const Shapes& file, ModelOptions& options) {
  if (const Shape* last = file.find("classifier.5.weight", 2)) {
    options.cnn_head = schema::CnnHead::kMlp;
    return (*last)[0];
  }
  if (const Shape* conv = file.find("classifier.0.weight", 4)) {
    options.cnn_head = schema::CnnHead::kConv;
    return (*conv)[0];
  }
  const Shape* both = file.find("classifier.subspace_proj.weight", 2);
  const Shape* heads = file.find("classifier.head_weight", 3);
  if (both == nullptr || heads == nullptr || (*heads)[1] < 1) return 0;
  options.cnn_head = schema::CnnHead::kAttention;
  options.multihead_attention_heads = (*heads)[1];
  return (*both)[0] / (2 * (*heads)[1]);
}

/// Whether the last three blocks have half the channels: by the expanded channels of the last.
void read_tail(const Shapes& file, ModelOptions& options) {
  const Shape* expanded = file.find("features.15.block.0.0.weight", 4);
  if (expanded == nullptr) expanded = file.find("layers.14.block.0.0.weight", 4);
  if (expanded == nullptr) expanded = file.find("layers.14.depth_norm.weight", 1);
  if (expanded == nullptr) return;
  for (const bool reduced : {false, true}) {
    ModelOptions tried = options;
    tried.reduced_tail = reduced;
    if (stages_of(tried).back().expanded != (*expanded)[0]) continue;
    options.reduced_tail = reduced;
    return;
  }
}

/// One gate of a block: what it gates has `size` elements, its bottleneck `squeezed`.
struct Gate {
  int64_t size, squeezed;
};

/// Of each block with squeeze-and-excitation, in their order: the j-th gate. Empty where one lacks
/// it.
std::vector<Gate> gates_of(const Shapes& file, const std::vector<CnnStage>& stages, int64_t j) {
  std::vector<Gate> gates;
  for (size_t i = 0; i < stages.size(); ++i) {
    const CnnStage& s = stages[i];
    if (!s.squeeze) continue;
    const Shape* fc1 = file.find(fmt::format("features.{}.block.{}.conc_se_layers.{}.fc1.weight",
                                             i + 1, s.expanded != s.in ? 2 : 1, j),
                                 2);
    if (fc1 == nullptr) return {};
    gates.push_back({(*fc1)[1], (*fc1)[0]});
  }
  return gates;
}

/// Places along an axis of `length` in the map of each block with squeeze-and-excitation.
std::vector<int64_t> gated_lengths(const std::vector<CnnStage>& stages, int64_t length) {
  std::vector<int64_t> lengths;
  length = ConvOptions{1, 1, 3, 2, 1, 1}.output(length);
  for (const CnnStage& s : stages) {
    length =
        ConvOptions{1, 1, s.kernel, s.dilation > 1 ? 1 : s.stride, s.dilation, 1}.output(length);
    if (s.squeeze) lengths.push_back(length);
  }
  return lengths;
}

void read_squeeze(const Shapes& file, ModelOptions& options, int64_t mel_bins) {
  if (!file.any("features.")) return;
  if (!file.any(".conc_se_layers.")) {
    options.se_dims = "none";
    return;
  }
  const std::vector<CnnStage> stages = stages_of(options);
  std::vector<int64_t> channels;
  for (const CnnStage& s : stages)
    if (s.squeeze) channels.push_back(s.expanded);
  const std::vector<int64_t> rows = gated_lengths(stages, mel_bins);
  std::string dims;
  std::vector<Gate> all;
  for (int64_t j = 0;; ++j) {
    const std::vector<Gate> gates = gates_of(file, stages, j);
    if (gates.empty()) break;
    const auto gate = [&](const std::vector<int64_t>& sizes) {
      return std::equal(gates.begin(), gates.end(), sizes.begin(), sizes.end(),
                        [](const Gate& g, int64_t size) { return g.size == size; });
    };
    const auto is_new = [&](char letter) { return dims.find(letter) == dims.npos; };
    dims += is_new('c') && gate(channels) ? 'c' : is_new('f') && gate(rows) ? 'f' : 't';
    all.insert(all.end(), gates.begin(), gates.end());
  }
  if (all.empty()) return;
  options.se_dims = dims;
  const auto fits = [&](int64_t divisor) {
    return std::all_of(all.begin(), all.end(), [&](const Gate& g) {
      return schema::channels_part(g.size, divisor) == g.squeezed;
    });
  };
  for (int64_t divisor = 1; divisor <= 1024 && !fits(options.se_r); ++divisor)
    if (fits(divisor)) options.se_r = divisor;
}

/// Contexts of the dynamic blocks, by their places among the 15; 0 where a block is not dynamic.
std::vector<int64_t> contexts_of(const Shapes& file, size_t blocks) {
  std::vector<int64_t> contexts;
  for (size_t i = 0; i < blocks; ++i) {
    const Shape* joint = file.find(fmt::format("layers.{}.context_gen.joint_conv.weight", i), 4);
    contexts.push_back(joint == nullptr ? 0 : (*joint)[0]);
  }
  return contexts;
}

/// The ratio and the bounds that give these contexts: the default ones where they do, else the
/// first ratio that any bounds make right.
void read_contexts(const std::vector<int64_t>& contexts, ModelOptions& options) {
  const std::vector<CnnStage> stages = stages_of(options);
  const double width = options.resolved().width;
  const schema::ContextSizes usual = schema::context_sizes(options);
  std::vector<int64_t> least = {usual.least};
  std::vector<int64_t> most = {usual.most};
  for (const int64_t context : contexts) {
    if (context == 0) continue;
    const auto unscaled = static_cast<int64_t>(std::llround(static_cast<double>(context) / width));
    least.push_back(unscaled);
    most.push_back(unscaled);
  }
  const auto fits = [&](const schema::ContextSizes& sizes) {
    for (size_t i = 0; i < contexts.size(); ++i) {
      if (contexts[i] != 0 &&
          schema::dynamic_context(stages[i].expanded, width, sizes) != contexts[i])
        return false;
    }
    return true;
  };
  std::vector<int64_t> ratios = {usual.ratio};
  for (int64_t ratio = 1; ratio <= 64; ++ratio) ratios.push_back(ratio);
  for (const int64_t ratio : ratios) {
    for (const int64_t low : least) {
      for (const int64_t high : most) {
        if (!fits({ratio, low, high})) continue;
        options.context_ratio = ratio;
        options.min_context_size = low;
        options.max_context_size = high;
        return;
      }
    }
  }
}

void read_dynamic(const Shapes& file, ModelOptions& options) {
  const std::vector<int64_t> contexts = contexts_of(file, stages_of(options).size());
  if (std::all_of(contexts.begin(), contexts.end(), [](int64_t c) { return c == 0; })) return;
  constexpr std::string_view kSuffix = "-se";
  const bool everywhere = contexts.front() != 0;
  if (everywhere && options.arch.ends_with(kSuffix))
    options.arch.resize(options.arch.size() - kSuffix.size());
  if (!everywhere && !options.arch.ends_with(kSuffix)) options.arch += kSuffix;
  read_contexts(contexts, options);
  // The fourth block is dynamic in both variants.
  options.no_dyconv = file.find("layers.3.depth_conv.module.weight", 4) != nullptr;
  const Shape* kernels = file.find("layers.3.depth_conv.weight", 4);
  if (kernels != nullptr) options.dyconv_k = (*kernels)[2];
  const Shape* lines = file.find("layers.3.depth_act.lambdas", 1);
  options.no_dyrelu = lines == nullptr;
  if (lines != nullptr) options.dyrelu_k = (*lines)[0] / 2;
}

}  // namespace

int64_t read_cnn(const Archive& archive, ModelOptions& options, const Geometry& input) {
  const Shapes file(archive);
  const int64_t classes = read_head(file, options);
  read_tail(file, options);
  if (options.resolved().family == schema::Family::k_dymn) {
    read_dynamic(file, options);
  } else {
    read_squeeze(file, options, input.F);
  }
  return classes;
}

void check_gated_frames(const Archive& archive, const std::filesystem::path& file,
                        const ModelOptions& options, const Geometry& input) {
  const size_t place = options.se_dims.find('t');
  if (options.resolved().family != schema::Family::k_mn || place == std::string::npos) return;
  const std::vector<CnnStage> stages = stages_of(options);
  const std::vector<Gate> gates = gates_of(Shapes(archive), stages, static_cast<int64_t>(place));
  const auto made_for = [&](int64_t frames) {
    const std::vector<int64_t> lengths = gated_lengths(stages, frames);
    return std::equal(gates.begin(), gates.end(), lengths.begin(), lengths.end(),
                      [](const Gate& g, int64_t length) { return g.size == length; });
  };
  if (made_for(input.T)) return;
  constexpr int64_t kMost = 100000;
  std::optional<int64_t> first;
  int64_t last = 0;
  for (int64_t frames = 1; frames <= kMost && (!first || last == frames - 1); ++frames) {
    if (!made_for(frames)) continue;
    if (!first) first = frames;
    last = frames;
  }
  throw Error(
      Place{file.string()},
      first
          ? fmt::format("its squeeze-and-excitation over time (model.se_dims = \"{}\") was made "
                        "for inputs of {} to {} frames, these have {}: give --frames",
                        options.se_dims, *first, last, input.T)
          : fmt::format("its squeeze-and-excitation gates neither channels, rows nor frames of {} "
                        "with {} mel bins: give --set frontend.mel_bins or model.strides",
                        options.arch, input.F),
      Exit::kData);
}

std::string untold_by_cnn(const ModelOptions& options, int64_t mel_bins,
                          const std::set<std::string>& known) {
  std::vector<std::string> list;
  const auto add = [&](const std::string& key, const std::string& value) {
    if (known.count(key) == 0) list.push_back(key + " = " + value);
  };
  const schema::Arch arch = options.resolved();
  add("model.strides", fmt::format("[{}]", fmt::join(arch.strides, ", ")));
  add("model.dilated", options.dilated ? "true" : "false");
  if (arch.family == schema::Family::k_dymn) {
    add("model.no_ca", options.no_ca ? "true" : "false");
    if (!options.no_dyconv) add("model.dy_temperature", fmt::format("{}", options.dy_temperature));
  } else if (options.se_dims.size() > 1 && options.se_dims != "none") {
    add("model.se_agg", fmt::format("\"{}\"", recipe::enum_name(options.se_agg)));
  }
  add("frontend.mel_bins", std::to_string(mel_bins));
  return fmt::format("{}", fmt::join(list, ", "));
}

}  // namespace xp::model
