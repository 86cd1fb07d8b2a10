// Position embeddings whose grid follows from bins and strides: every case of model/ast_grid.
#include <map>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "core/checkpoint/archive.h"
#include "core/model/files/import.h"
#include "core/model/trunk.h"
#include "tests/testing/fixtures.h"
#include "tests/testing/tensors.h"

namespace xp::model {
namespace {

using testing::Case;
using testing::floats_of;
using testing::Report;

/// "output/logits_300_from_40" -> 300, 40; "output/logits_40" -> 40, 40.
std::pair<int64_t, int64_t> lengths_of(const std::string& dataset) {
  const size_t at = std::string("output/logits_").size();
  const size_t from = dataset.find("_from_");
  const int64_t frames = std::stoll(dataset.substr(at));
  return {frames, from == dataset.npos ? frames : std::stoll(dataset.substr(from + 6))};
}

void ast_grid(const Case& c, Report& report) {
  std::map<int64_t, std::string> file_of;  // by the frames it was made for
  for (const auto& [file, about] : c.json.at("files").items())
    file_of[about.at("input_tdim")] = file;
  TrunkOptions o;
  o.dim = c.json.at("embed_dim");
  o.depth = c.json.at("depth");
  o.heads = c.json.at("num_heads");
  o.hidden = o.dim * c.json.at("mlp_ratio").get<int64_t>();
  o.patch_f = c.json.at("patch").at(0);
  o.patch_t = c.json.at("patch").at(1);
  o.stride_f = c.json.at("fstride");
  o.stride_t = c.json.at("tstride");
  o.classes = c.json.at("label_dim");
  c.json.without_effect({"layernorm_eps", "weights", "input"});
  const int64_t bins = c.json.at("input_fdim");
  report.every_setting();
  for (const auto& [dataset, array] : c.arrays) {
    if (dataset.rfind("output/", 0) != 0) continue;
    const auto [frames, from] = lengths_of(dataset);
    o.grid = {schema::patches_along(bins, o.patch_f, o.stride_f),
              schema::patches_along(frames, o.patch_t, o.stride_t)};
    Trunk model(o, Init(3));
    const std::string& file = file_of.at(from);
    ImportOptions import;
    import.bins = bins;
    load_weights(model, checkpoint::Archive::open(c.folder / file), file, import);
    const at::NoGradGuard no_grad;
    const at::Tensor mel =
        testing::tensor_of(c.at("input/spectrogram_" + std::to_string(frames))).transpose(1, 2);
    report.compare(dataset, floats_of(model.forward(Input::whole(mel), {}).logits));
  }
}

TEST(GridParity, EveryLength) {
  at::set_num_threads(1);
  testing::expect_parity({"model/ast_grid"}, {{"model/ast_grid", ast_grid}});
}

TEST(GridParity, FlippedValuesAreNoticed) {
  at::set_num_threads(1);
  testing::expect_flips_noticed({{"model/ast_grid", ast_grid}});
}

}  // namespace
}  // namespace xp::model
