// EfficientAT's CNNs against the originals' outputs: every case of model/efficientat.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "core/checkpoint/archive.h"
#include "core/model/cnn/dymn.h"
#include "core/model/cnn/mn.h"
#include "core/model/files/import.h"
#include "tests/testing/fixtures.h"
#include "tests/testing/tensors.h"

namespace xp::model {
namespace {

using nlohmann::json;
using testing::Case;
using testing::floats_of;
using testing::Report;
using testing::tensor_of;

/// By the path of `exp import`: strict, so that no name is missing or left over, and with nothing
/// fitted.
void load(Model& model, const std::filesystem::path& file, Report& report) {
  const checkpoint::Archive archive = checkpoint::Archive::open(file);
  const ImportReport imported = load_weights(model, archive, file);
  for (const ImportReport::Change& change : imported.reshaped)
    report.fail("fitted: " + change.name + ", " + change.what);
  report.compare_value("tensors of the file", static_cast<double>(imported.used),
                       static_cast<double>(archive.entries().size()));
}

void fill(CnnOptions& o, const testing::Settings& arguments) {
  o.classes = arguments.at("num_classes");
  o.width = arguments.at("width_mult");
  if (arguments.is_set("strides"))
    o.strides = arguments.at("strides").get<std::array<int64_t, 4>>();
  const std::string head = arguments.value("head_type", "mlp");
  o.head = head == "mlp"                   ? schema::CnnHead::kMlp
           : head == "fully_convolutional" ? schema::CnnHead::kConv
                                           : schema::CnnHead::kAttention;
  o.dilated = arguments.value("dilated", o.dilated);
  o.reduced_tail = arguments.value("reduced_tail", o.reduced_tail);
}

template <class Net>
void compare(const Case& c, Report& report, Net& net) {
  report.compare_value("parameters", static_cast<double>(net.parameter_count()),
                       c.json.at("parameters"));
  load(net, c.folder / c.json.at("weights").at(0), report);
  const at::NoGradGuard no_grad;
  bool first = true;
  for (const auto& [name, array] : c.arrays) {
    const std::string prefix = "input/mel_";
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    const std::string frames = name.substr(prefix.size());
    const at::Tensor mel = tensor_of(array).squeeze(1);
    const Output out = net.forward(Input::whole(mel), {});
    report.compare("output/logits_" + frames, floats_of(out.logits));
    report.compare("output/features_" + frames, floats_of(out.embedding));
    const auto stages = net.stages(mel.narrow(0, 0, 1));
    const json& shapes = c.json.at("feature_map_shapes");
    // The case's maps are those of one of its inputs: the one whose sizes they have.
    if (!first || stages[0].sizes().vec() != shapes.at(0).get<std::vector<int64_t>>()) continue;
    first = false;
    for (size_t i = 0; i < stages.size(); ++i) {
      EXPECT_EQ(stages[i].sizes().vec(), shapes.at(i).get<std::vector<int64_t>>());
      report.compare("output/fmap_mean_" + std::to_string(i), floats_of(stages[i].mean({2, 3})));
    }
  }
  // With gradients the norms are not folded: the same values by the other path.
  const at::AutoGradMode grad(true);
  for (const auto& [name, array] : c.arrays) {
    if (name.compare(0, 10, "input/mel_") != 0) continue;
    const Output out = net.forward(Input::whole(tensor_of(array).squeeze(1)), {});
    report.compare("output/logits_" + name.substr(10), floats_of(out.logits.detach()));
  }
}

void efficientat(const Case& c, Report& report) {
  const testing::Settings& arguments = c.arguments;
  if (c.json.at("source_function").get<std::string>().find("dymn") != std::string::npos) {
    DymnOptions o;
    fill(o, arguments);
    o.replace_se = arguments.value("use_dy_blocks", "all") == "replace_se";
    arguments.without_effect({"pretrain_final_temp"});  // dyconv_temperature is what it comes to
    o.kernels = arguments.value("no_dyconv", false) ? 0 : arguments.value("dyconv_k", o.kernels);
    o.relu_lines =
        arguments.value("no_dyrelu", false) ? 0 : arguments.value("dyrelu_k", o.relu_lines);
    o.coordinate_attention = !arguments.value("no_ca", false);
    o.context = {arguments.value("context_ratio", o.context.ratio),
                 arguments.value("min_context_size", o.context.least),
                 arguments.value("max_context_size", o.context.most)};
    Dymn net(o, c.json.at("dyconv_temperature"), Init(0, false));
    compare(c, report, net);
    return;
  }
  MnOptions o;
  fill(o, arguments);
  o.attention_heads = arguments.value("multihead_attention_heads", 4);
  o.se_dims = arguments.value("se_dims", o.se_dims);
  o.se_agg =
      *recipe::parse_enum<schema::SqueezeMerge>(arguments.value("se_agg", std::string("max")));
  o.squeeze_factor = arguments.value("se_r", o.squeeze_factor);
  o.input = {arguments.value("input_dim_f", o.input.F), arguments.value("input_dim_t", o.input.T)};
  Mn net(o, Init(0, false));
  compare(c, report, net);
}

TEST(CnnParity, EfficientAt) {
  at::set_num_threads(1);
  testing::expect_parity({"model/efficientat"}, {{"model/efficientat", efficientat}});
}

TEST(CnnParity, FlippedValuesAreNoticed) {
  at::set_num_threads(1);
  testing::expect_flips_noticed({{"model/efficientat", efficientat}});
}

}  // namespace
}  // namespace xp::model
