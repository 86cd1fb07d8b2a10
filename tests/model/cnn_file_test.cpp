// What a file of EfficientAT shows is read from it: each option of the originals' constructors
// comes back from the names and shapes of the tensors, and the model that they describe takes the
// weights.
#include "core/model/files/cnn_file.h"

#include <functional>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/model/files/export.h"
#include "core/model/files/import.h"
#include "core/model/init.h"
#include "core/model/registry.h"
#include "core/recipe/options_io.h"
#include "core/schema/cnn.h"

namespace xp::model {
namespace {

using schema::ModelOptions;

constexpr Geometry kFileInput{64, 96};

ModelOptions cnn(const std::string& arch) {
  ModelOptions options = ModelOptions::of_kind(*ModelOptions::parse_kind(arch));
  options.arch = arch;
  return options;
}

struct Variant {
  const char* name;
  const char* arch;
  std::function<void(ModelOptions&)> change;
};

const std::vector<Variant> kVariants = {
    {"mn", "mn01", [](ModelOptions&) {}},
    {"reduced_tail", "mn02", [](ModelOptions& o) { o.reduced_tail = true; }},
    {"se none", "mn01", [](ModelOptions& o) { o.se_dims = "none"; }},
    {"se f", "mn01", [](ModelOptions& o) { o.se_dims = "f"; }},
    {"se ct", "mn01", [](ModelOptions& o) { o.se_dims = "ct"; }},
    {"se tc", "mn01", [](ModelOptions& o) { o.se_dims = "tc"; }},
    {"se fct", "mn02", [](ModelOptions& o) { o.se_dims = "fct"; }},
    {"se_r", "mn04", [](ModelOptions& o) { o.se_r = 2; }},
    {"conv head", "mn01", [](ModelOptions& o) { o.cnn_head = schema::CnnHead::kConv; }},
    {"attention head", "mn01",
     [](ModelOptions& o) {
       o.cnn_head = schema::CnnHead::kAttention;
       o.multihead_attention_heads = 3;
     }},
    {"dymn", "dymn02", [](ModelOptions&) {}},
    {"dymn replaces", "dymn02-se", [](ModelOptions&) {}},
    {"dymn conv head", "dymn01", [](ModelOptions& o) { o.cnn_head = schema::CnnHead::kConv; }},
    {"dymn tail", "dymn02", [](ModelOptions& o) { o.reduced_tail = true; }},
    {"no_dyconv", "dymn01", [](ModelOptions& o) { o.no_dyconv = true; }},
    {"no_dyrelu", "dymn01", [](ModelOptions& o) { o.no_dyrelu = true; }},
    {"no_dyconv no_dyrelu no_ca", "dymn01-se",
     [](ModelOptions& o) { o.no_dyconv = o.no_dyrelu = o.no_ca = true; }},
    {"dyconv_k", "dymn01", [](ModelOptions& o) { o.dyconv_k = 6; }},
    {"dyrelu_k", "dymn01", [](ModelOptions& o) { o.dyrelu_k = 3; }},
    {"dyrelu_k 1", "dymn01", [](ModelOptions& o) { o.dyrelu_k = 1; }},
    {"context_ratio", "dymn04", [](ModelOptions& o) { o.context_ratio = 2; }},
    {"min_context_size", "dymn04", [](ModelOptions& o) { o.min_context_size = 60; }},
    {"max_context_size", "dymn04", [](ModelOptions& o) { o.max_context_size = 80; }},
};

TEST(CnnFile, ShowsTheOptionsThatItsModelWasMadeWith) {
  const at::NoGradGuard no_grad;
  const at::Tensor mel = Init(2).normal("mel", {2, kFileInput.F, kFileInput.T}, 1).detach();
  for (const Variant& variant : kVariants) {
    SCOPED_TRACE(variant.name);
    ModelOptions made = cnn(variant.arch);
    variant.change(made);
    const auto model =
        make_model({.options = made, .geometry = kFileInput, .classes = 5, .seed = 3});
    EXPECT_EQ(model->parameter_count(), schema::cnn_cost(made, kFileInput, 5).parameters);
    const bool dymn = made.resolved().family == schema::Family::k_dymn;
    const checkpoint::Archive file = export_weights(*model, dymn ? Original::kDymn : Original::kMn);
    ModelOptions read = cnn(std::string(variant.arch).substr(0, dymn ? 6 : 4));
    read.no_ca = made.no_ca;  // no file shows it
    EXPECT_EQ(read_cnn(file, read, kFileInput), 5);
    // Other bounds may give the same contexts: then they are the same model.
    const auto other =
        make_model({.options = read, .geometry = kFileInput, .classes = 5, .seed = 4});
    const ImportReport report = load_weights(*other, file, "file.pt");
    EXPECT_TRUE(report.exact()) << report.line();
    EXPECT_TRUE(at::equal(other->forward(Input::whole(mel), {}).logits,
                          model->forward(Input::whole(mel), {}).logits));
    const bool usual =
        made.context_ratio == 4 && made.min_context_size == 32 && made.max_context_size == 128;
    if (usual) {
      EXPECT_EQ(recipe::to_text(read), recipe::to_text(made));
    }
  }
}

TEST(CnnFile, GatesOverTimeSayTheLengthThatTheyWereMadeFor) {
  ModelOptions options = cnn("mn01");
  options.se_dims = "ct";
  const auto model =
      make_model({.options = options, .geometry = kFileInput, .classes = 5, .seed = 3});
  const checkpoint::Archive file = export_weights(*model, Original::kMn);
  EXPECT_NO_THROW(check_gated_frames(file, "file.pt", options, kFileInput));
  const Geometry longer{kFileInput.F, 1000};
  ModelOptions read = cnn("mn01");
  read_cnn(file, read, longer);
  EXPECT_EQ(read.se_dims, "ct");
  try {
    check_gated_frames(file, "file.pt", read, longer);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("model.se_dims = \"ct\""), text.npos) << text;
    EXPECT_NE(text.find("to 96 frames"), text.npos) << text;
    EXPECT_NE(text.find("--frames"), text.npos) << text;
  }
}

TEST(CnnFile, WhatNoFileShowsIsListedWithItsKeys) {
  ModelOptions options = cnn("mn10-s2221");
  EXPECT_EQ(untold_by_cnn(options, 128, {}),
            "model.strides = [2, 2, 2, 1], model.dilated = false, frontend.mel_bins = 128");
  EXPECT_EQ(untold_by_cnn(options, 128, {"model.strides", "model.dilated", "frontend.mel_bins"}),
            "");
  options.se_dims = "ct";
  EXPECT_NE(untold_by_cnn(options, 128, {}).find("model.se_agg = \"max\""), std::string::npos);
  const std::string dymn = untold_by_cnn(cnn("dymn10"), 64, {});
  EXPECT_NE(dymn.find("model.no_ca = false"), dymn.npos);
  EXPECT_NE(dymn.find("model.dy_temperature = 1"), dymn.npos);
}

}  // namespace
}  // namespace xp::model
