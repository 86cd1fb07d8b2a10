// How fresh networks start, against the distributions that the originals' sources give: every case
// of model/init. Sizes are read off the shapes of the original's tensors.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <sstream>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/model/cnn/cnn_layers.h"
#include "core/model/cnn/dymn.h"
#include "core/model/cnn/mn.h"
#include "core/model/files/key_map.h"
#include "core/model/masked.h"
#include "tests/testing/fixtures.h"
#include "tests/testing/settings.h"

namespace xp::model::start_rules {
namespace {

using nlohmann::json;
using schema::InitRule;
using testing::Case;
using testing::Report;

/// "uniform(-0.1, 0.1)" taken apart.
struct Distribution {
  bool drawn = false;  ///< otherwise every value is `mean`
  double mean = 0;
  double std = 0;
  double kurtosis = 3;
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
};

Distribution distribution_of(const std::string& text) {
  const std::string name = text.substr(0, text.find('('));
  std::vector<double> numbers;
  if (name.size() < text.size()) {
    std::stringstream list(text.substr(name.size() + 1));
    for (double number = 0; list >> number; list.ignore(1)) numbers.push_back(number);
  }
  Distribution d;
  if (name == "zeros" || name == "ones" || name == "constant") {
    d.mean = name == "zeros" ? 0 : name == "ones" ? 1 : numbers.at(0);
  } else if (name == "uniform") {
    d = {true,
         (numbers.at(0) + numbers.at(1)) / 2,
         (numbers[1] - numbers[0]) / std::sqrt(12.0),
         1.8,
         numbers[0],
         numbers[1]};
  } else if (name == "normal" || name == "trunc_normal") {
    d = {true, numbers.at(0), numbers.at(1)};
  } else {
    throw std::runtime_error("unknown distribution '" + text + "'");
  }
  return d;
}

/// Values of one tensor, from all seeds, against its distribution.
void compare_values(const std::string& name, const at::Tensor& values, const std::string& wanted,
                    Report& report) {
  const Distribution d = distribution_of(wanted);
  const at::Tensor x = values.detach().to(at::kDouble).flatten();
  const auto n = static_cast<double>(x.numel());
  const auto value = [&](const char* what, double got, double want, double tolerance) {
    report.compare_value(name + ": " + what + " of " + wanted, got, want, {tolerance, 0});
  };
  if (!d.drawn) {
    value("smallest", x.min().item<double>(), d.mean, 1e-7 * std::abs(d.mean));
    value("largest", x.max().item<double>(), d.mean, 1e-7 * std::abs(d.mean));
    return;
  }
  const double mean = x.mean().item<double>();
  const at::Tensor squares = (x - mean).square();
  const double variance = squares.mean().item<double>();
  value("mean", mean, d.mean, 5 * d.std / std::sqrt(n));
  value("std", std::sqrt(variance), d.std, 5 * d.std * std::sqrt((d.kurtosis - 1) / (4 * n)));
  if (n >= 1000) {
    value("kurtosis", squares.square().mean().item<double>() / (variance * variance), d.kurtosis,
          5 * std::sqrt(24 / n));
  }
  const double rounded = 1 + 1e-6;  // the bounds are given to seven digits
  if (x.min().item<double>() < d.low * rounded || x.max().item<double>() > d.high * rounded)
    report.fail(name + ": a value outside " + wanted);
}

using Values = std::map<std::string, at::Tensor>;  // by the original's name
/// The original's tensors in a model that was drawn with `seed`.
using Draw = std::function<Values(uint64_t seed)>;

void compare_variant(const json& variant, const Draw& draw, Report& report) {
  std::map<std::string, std::vector<at::Tensor>> all;
  for (int64_t i = 0; i < variant.at("instances").get<int64_t>(); ++i) {
    for (auto& [name, tensor] : draw(static_cast<uint64_t>(i))) all[name].push_back(tensor);
  }
  for (const json& tensor : variant.at("tensors")) {
    const std::string name = tensor.at("name");
    const std::string wanted = tensor.at("distribution");
    const auto found = all.find(name);
    if (wanted == "given" || (found != all.end() && !found->second[0].defined())) continue;
    if (found == all.end()) {
      report.fail(name + ": not in the model");
      continue;
    }
    int64_t size = 1;
    for (const int64_t extent : tensor.at("shape")) size *= extent;
    report.compare_value(name + ": values", static_cast<double>(found->second[0].numel()),
                         static_cast<double>(size));
    std::vector<at::Tensor> flat;
    for (const at::Tensor& each : found->second) flat.push_back(each.detach().flatten());
    compare_values(name, at::cat(flat), wanted, report);
  }
}

// ---- transformers ----

struct Place {
  std::string ours;
  Form form = Form::kSame;
};

std::vector<Original> tables_of(InitRule original) {
  switch (original) {
    case InitRule::kPasst:
      return {Original::kPasst};
    case InitRule::kTorchOnly:
      return {Original::kTorchOnly};
    default:  // SSAST's files with a classifier have AST's names
      return {Original::kSsast, Original::kAst};
  }
}

/// Where each of the original's tensors is in ours.
std::map<std::string, Place> places_of(const json& tensors, const std::vector<Original>& tables) {
  std::map<std::string, Place> places;
  for (const json& tensor : tensors) {
    const std::string name = tensor.at("name");
    for (const Original table : tables) {
      for (const KeyRule& rule : key_rules(table)) {
        std::string theirs(rule.theirs), ours(rule.ours);
        const bool dead =
            theirs.back() == '*' && name.starts_with(theirs.substr(0, theirs.size() - 1));
        if (const size_t hash = theirs.find('#'); hash != std::string::npos && name.size() > hash) {
          const std::string index = name.substr(hash, name.find('.', hash) - hash);
          theirs.replace(hash, 1, index);
          ours.replace(ours.find('#'), 1, index);
        }
        if (dead || theirs == name) places[name] = {ours, rule.form};
      }
    }
  }
  return places;
}

struct Sizes {
  TrunkOptions trunk;
  int64_t special = 2;  ///< special tokens of the original
  bool masked = false;
};

Sizes sizes_of(const json& tensors, const std::map<std::string, Place>& places) {
  std::map<std::string, std::vector<int64_t>> shapes;
  std::map<std::string, Form> forms;
  for (const json& tensor : tensors) {
    const auto place = places.find(tensor.at("name"));
    if (place == places.end()) continue;
    shapes[place->second.ours] = tensor.at("shape").get<std::vector<int64_t>>();
    forms[place->second.ours] = place->second.form;
  }
  Sizes sizes;
  TrunkOptions& o = sizes.trunk;
  const auto& patch = shapes.at("patch_embed.proj.weight");
  o.dim = patch.at(0);
  o.patch_f = patch.at(2);
  o.patch_t = patch.at(3);
  o.heads = 1;
  o.hidden = shapes.at("blocks.0.mlp.fc1.weight").at(0);
  o.depth = 0;
  while (shapes.count(fmt::format("blocks.{}.norm1.weight", o.depth)) != 0) ++o.depth;
  sizes.masked = shapes.count("mask_embed") != 0;
  sizes.special = shapes.count("dist_token") != 0 ? 2 : 1;
  const auto vectors = [&](const char* name) {
    int64_t size = 1;
    for (const int64_t extent : shapes.at(name)) size *= extent;
    return size / o.dim;
  };
  o.special_position = shapes.count("pos.special") != 0;
  if (shapes.count("pos.freq") != 0) {
    o.position = PositionKind::kSeparate;
    o.grid = {vectors("pos.freq"), vectors("pos.time")};
  } else {
    const bool sequence = forms.at("pos.grid") == Form::kSequence;
    o.special_position = sequence;
    o.grid = {vectors("pos.grid") - (sequence ? sizes.special : 0), 1};
  }
  if (sizes.masked || shapes.count("head.linear.weight") == 0) {
    o.aggregator = Aggregator::kNone;
  } else {
    o.classes = shapes.at("head.linear.weight").at(0);
    if (shapes.count("head.norm.weight") == 0) o.head = Head::kLinear;
  }
  return sizes;
}

void transformer(const json& variant, InitRule original, InitRule rule, Report& report) {
  const auto places = places_of(variant.at("tensors"), tables_of(original));
  const Sizes sizes = sizes_of(variant.at("tensors"), places);
  const Draw draw = [&](uint64_t seed) {
    const Init init(seed, true, rule);
    const std::unique_ptr<Trunk> model = sizes.masked
                                             ? std::make_unique<MaskedTrunk>(sizes.trunk, init)
                                             : std::make_unique<Trunk>(sizes.trunk, init);
    Values ours, theirs;
    for (const NamedTensor& entry : model->state()) ours[entry.name] = entry.tensor;
    for (const auto& [name, place] : places) {
      at::Tensor tensor;  // undefined: no forward pass uses it
      if (place.form == Form::kSequence) {
        tensor = at::cat({ours.at("pos.special").narrow(0, 0, sizes.special).flatten(),
                          ours.at(place.ours).flatten()});
      } else if (place.form == Form::kRows) {
        tensor = ours.at(place.ours).narrow(0, 0, sizes.special);
      } else if (place.form != Form::kDead && ours.count(place.ours) != 0) {
        tensor = ours.at(place.ours);
      } else if (place.form != Form::kDead) {
        continue;
      }
      theirs[name] = tensor;
    }
    return theirs;
  };
  compare_variant(variant, draw, report);
}

// ---- CNNs ----

void read_shared(CnnOptions& o, const testing::Settings& arguments) {
  o.width = arguments.value("width_mult", o.width);
  o.classes = arguments.value("num_classes", o.classes);
  o.strides = arguments.value("strides", o.strides);
  o.reduced_tail = arguments.value("reduced_tail", o.reduced_tail);
  o.dilated = arguments.value("dilated", o.dilated);
  const std::string head = arguments.value("head_type", "mlp");
  o.head = head == "mlp"                   ? schema::CnnHead::kMlp
           : head == "fully_convolutional" ? schema::CnnHead::kConv
                                           : schema::CnnHead::kAttention;
}

void cnn(const json& variant, InitRule rule, Report& report) {
  const testing::Settings arguments(variant.value("arguments", json::object()));
  const bool dynamic = variant.at("tensors").at(0).at("name") == "in_c.0.weight";
  MnOptions mn;
  DymnOptions dymn;
  if (dynamic) {
    read_shared(dymn, arguments);
    dymn.kernels = arguments.value("dyconv_k", dymn.kernels);
    dymn.replace_se = arguments.value("use_dy_blocks", "all") == "replace_se";
  } else {
    read_shared(mn, arguments);
    mn.attention_heads = arguments.value("multihead_attention_heads", mn.attention_heads);
    mn.se_dims = arguments.value("se_dims", mn.se_dims);
  }
  for (const std::string& name : arguments.unread()) report.fail("unknown argument '" + name + "'");
  const Draw draw = [&](uint64_t seed) {
    const Init init(seed, true, rule);
    const std::unique_ptr<Model> model =
        dynamic ? std::unique_ptr<Model>(std::make_unique<Dymn>(dymn, 1, init))
                : std::make_unique<Mn>(mn, init);
    Values values;
    for (const NamedTensor& entry : model->state()) values[entry.name] = entry.tensor;
    return values;
  };
  compare_variant(variant, draw, report);
}

// ---- PyTorch's layers ----

void layers(const json& variant, InitRule rule, Report& report) {
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const json& tensor : variant.at("tensors"))
    shapes[tensor.at("name")] = tensor.at("shape").get<std::vector<int64_t>>();
  const auto with = [](Values& values, const std::string& layer, Module& module) {
    for (const NamedTensor& entry : module.state()) values[layer + "." + entry.name] = entry.tensor;
  };
  const Draw draw = [&](uint64_t seed) {
    const Init init(seed, true, rule);
    Values values;
    const auto affine = [&](Part part, const std::string& weight, const std::string& bias) {
      values[weight] = init.child(weight).weight(part, "weight", shapes.at(weight));
      values[bias] = init.child(bias).bias(part, shapes.at(weight));
    };
    affine(Part::kHead, "linear.weight", "linear.bias");
    affine(Part::kPatches, "conv.weight", "conv.bias");
    affine(Part::kPatches, "depthwise.weight", "depthwise.bias");
    affine(Part::kQkv, "attention.in_proj_weight", "attention.in_proj_bias");
    affine(Part::kAttention, "attention.out_proj.weight", "attention.out_proj.bias");
    Norm norm(shapes.at("layer_norm.weight").at(0), 1e-5, init);
    BatchNorm batch_norm(shapes.at("batch_norm.weight").at(0), 1e-5, 0.1, init);
    with(values, "layer_norm", norm);
    with(values, "batch_norm", batch_norm);
    return values;
  };
  compare_variant(variant, draw, report);
}

/// The rule of the project that a case comes from; PyTorch's own layers are those of TorchOnlyAST.
InitRule rule_of(const json& repository) {
  if (repository.is_null()) return InitRule::kTorchOnly;
  const std::map<std::string, InitRule> rules = {{"YuanGongND/ast", InitRule::kAst},
                                                 {"kkoutini/PaSST", InitRule::kPasst},
                                                 {"YuanGongND/ssast", InitRule::kSsast},
                                                 {"tky823/TorchOnlyAST", InitRule::kTorchOnly},
                                                 {"fschmid56/EfficientAT", InitRule::kEfficientAt}};
  return rules.at(repository.get<std::string>());
}

void compare_one(const Case& c, const json& variant, InitRule rule, Report& report) {
  const json& repository = c.json.at("source_repo");
  const InitRule original = rule_of(repository);
  if (repository.is_null()) {
    layers(variant, rule, report);
  } else if (original == InitRule::kEfficientAt) {
    cnn(variant, rule, report);
  } else {
    transformer(variant, original, rule, report);
  }
}

void compare(const Case& c, Report& report) {
  for (const json& variant : c.json.at("variants"))
    compare_one(c, variant, rule_of(c.json.at("source_repo")), report);
}

TEST(InitParity, EveryCase) {
  at::set_num_threads(1);
  testing::expect_parity({"model/init"}, {{"model/init", compare}});
}

TEST(InitParity, AnotherRuleIsNoticed) {
  at::set_num_threads(1);
  const std::vector<Case> cases = testing::cases_of_kind("model/init");
  if (cases.empty()) GTEST_SKIP() << "EXP_FIXTURES has no such case";
  for (const Case& c : cases) {
    for (const json& variant : c.json.at("variants")) {
      if (variant.at("width") != "small") continue;
      Report report(c);
      compare_one(c, variant, InitRule::kXavier, report);
      EXPECT_FALSE(report.failures().empty()) << c.name << ": " << variant.at("name");
    }
  }
}

}  // namespace
}  // namespace xp::model::start_rules
