// Whole optimiser steps against the originals': loss of each step, gradients and weights after the
// first.
#include <map>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/checkpoint/archive.h"
#include "core/evaluate/loss.h"
#include "core/model/files/import.h"
#include "core/model/registry.h"
#include "core/train/optimiser.h"
#include "tests/testing/fixtures.h"
#include "tests/testing/tensors.h"

namespace xp::train {
namespace {

using testing::Case;
using testing::Report;
using testing::tensor_of;

struct Problem {
  bool passt = false;
  schema::ModelOptions model;
  int64_t classes = 0;
  model::Geometry geometry;
  schema::OptimiserOptions optimiser;
  schema::Loss loss = schema::Loss::kBce;
};

Problem problem_of(const Case& c) {
  Problem p;
  p.passt = c.json.contains("n_classes");
  p.model =
      schema::ModelOptions::of_kind(p.passt ? schema::Family::k_passt : schema::Family::k_ast);
  p.model.arch = p.passt ? "passt-s" : "ast-base384";
  p.model.dim = c.json.at("embed_dim");
  p.model.depth = c.json.at("depth");
  p.model.heads = c.json.at("num_heads");
  p.model.fstride = p.passt ? c.json.at("stride").at(0) : c.json.at("fstride");
  p.model.tstride = p.passt ? c.json.at("stride").at(1) : c.json.at("tstride");
  p.classes = c.json.at(p.passt ? "n_classes" : "label_dim");
  p.geometry = {c.json.at("input_fdim"), c.json.at("input_tdim")};
  p.optimiser.kind = p.passt ? schema::OptimiserKind::kAdamw : schema::OptimiserKind::kAdam;
  p.optimiser.lr = c.json.at("lr");
  p.optimiser.weight_decay = p.passt ? 1e-4 : 5e-7;
  if (!p.passt) p.optimiser.betas = {0.95, 0.999};
  if (c.json.value("loss", "") == "CE") p.loss = schema::Loss::kCe;
  return p;
}

/// A model of the case holding the tensors of one of its files (weights, or gradients under their
/// names).
std::unique_ptr<model::Model> holding(const Case& c, const Problem& p, const std::string& file,
                                      bool strict = true) {
  auto made = model::make_model(
      {.options = p.model, .geometry = p.geometry, .classes = p.classes, .draw = false});
  model::ImportOptions options;
  options.strict = strict;
  model::load_weights(*made, checkpoint::Archive::open(c.folder / file), c.folder / file, options);
  return made;
}

std::map<std::string, at::Tensor> tensors_of(const model::Model& model) {
  std::map<std::string, at::Tensor> tensors;
  for (const model::NamedTensor& named : model.parameters())
    tensors[named.name] = named.tensor.detach();
  return tensors;
}

/// The patchout that the original draws from this seed (PaSST models/passt.py).
model::PatchoutDraws passt_draws(uint64_t seed, const Case& c, int64_t rows, int64_t columns,
                                 int64_t embedded) {
  at::manual_seed(seed);
  const auto drawn = [](int64_t there, int64_t kept) {
    const at::Tensor order = std::get<0>(at::randperm(there, at::kLong).narrow(0, 0, kept).sort());
    return std::vector<int64_t>(order.data_ptr<int64_t>(), order.data_ptr<int64_t>() + kept);
  };
  model::PatchoutDraws draws;
  if (columns < embedded)
    draws.time_offset = at::randint(1 + embedded - columns, {1}, at::kLong).item<int64_t>();
  draws.kept_columns = {drawn(columns, columns - c.json.at("s_patchout_t").get<int64_t>())};
  draws.kept_rows = {drawn(rows, rows - c.json.at("s_patchout_f").get<int64_t>())};
  return draws;
}

double worst(const at::Tensor& error, const at::Tensor& where) {
  const at::Tensor picked = error.masked_select(where);
  return picked.numel() == 0 ? 0 : picked.max().item<double>();
}

void compare_first_step(const Case& c, Report& report, const Problem& p, const model::Model& model,
                        const std::map<std::string, at::Tensor>& gradients,
                        const std::string& after_file, const std::string& gradient_file) {
  const auto& limits = c.json.at("tolerance").at("weights");
  const double above = limits.at("where_abs_gradient_above");
  const auto after = tensors_of(*holding(c, p, after_file));
  double clear = 0;
  double elsewhere = 0;
  for (const auto& [name, tensor] : tensors_of(model)) {
    const at::Tensor error = (tensor - after.at(name)).abs();
    const at::Tensor large = gradients.at(name).abs() > above;
    clear = std::max(clear, worst(error, large));
    elsewhere = std::max(elsewhere, worst(error, large.logical_not()));
  }
  report.compare_value("weights after step 1", clear, 0, {limits.at("abs"), 0});
  report.compare_value("weights after step 1, gradient near zero", elsewhere, 0,
                       {limits.at("abs_elsewhere"), 0});
  if (gradient_file.empty()) return;
  const auto expected = tensors_of(*holding(c, p, gradient_file, false));
  const double abs = c.json.at("tolerance").at("gradients").at("abs");
  const double rel = c.json.at("tolerance").at("gradients").at("rel");
  double share = 0;
  for (const auto& [name, gradient] : gradients) {
    const at::Tensor want = expected.at(name);
    share =
        std::max(share, ((gradient - want).abs() / (abs + rel * want.abs())).max().item<double>());
  }
  report.compare_value("gradients of step 1, share of the tolerance", share, 0, {1, 0});
}

void optimiser_step(const Case& c, Report& report) {
  const Problem p = problem_of(c);
  const std::string extension = p.passt ? ".pt" : ".pth";
  const auto model = holding(c, p, "before" + extension);
  model->apply_freezing();
  Optimiser optimiser(p.optimiser, trained(*model), model->layers());
  at::Tensor mel, labels;
  if (p.passt) {
    const at::Tensor perm = tensor_of(c.at("input/perm"));
    const at::Tensor lam = tensor_of(c.at("input/lam"));
    const auto mixed = [&](const at::Tensor& x) {
      std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
      shape[0] = -1;
      const at::Tensor weight = lam.reshape(shape);
      return x * weight + x.index_select(0, perm) * (1 - weight);
    };
    mel = mixed(tensor_of(c.at("input/spec")).squeeze(1));
    labels = mixed(tensor_of(c.at("input/target")));
  } else {
    mel = tensor_of(c.at("input/spectrogram")).transpose(1, 2).contiguous();
    labels = tensor_of(c.at("input/target"));
  }
  std::vector<double> losses;
  for (int64_t step = 0; step < c.json.at("steps").get<int64_t>(); ++step) {
    model::Pass pass;
    pass.training = true;
    model::PatchoutDraws draws;
    if (p.passt) {
      const auto along = [&](int64_t length, int64_t stride) { return 1 + (length - 16) / stride; };
      draws = passt_draws(c.json.at("step_seeds").at(static_cast<size_t>(step)), c,
                          along(p.geometry.F, p.model.fstride),
                          along(p.geometry.T, p.model.tstride), p.geometry.T / p.model.tstride);
      pass.patchout = &draws;
    }
    const at::Tensor logits = model->forward(model::Input::whole(mel), pass).logits;
    if (step == 0 && c.has("output/logits_step1")) {
      const at::Tensor flat = logits.detach().contiguous().flatten();
      report.compare(
          "output/logits_step1",
          std::vector<float>(flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()));
    }
    const at::Tensor loss = evaluate::label_loss(p.loss, logits, labels);
    losses.push_back(loss.item<double>());
    torch::autograd::backward({loss}, {});
    std::map<std::string, at::Tensor> gradients;
    for (const Trained& tensor : optimiser.tensors())
      gradients[tensor.name] = tensor.tensor.grad().defined() ? tensor.tensor.grad().clone()
                                                              : at::zeros_like(tensor.tensor);
    optimiser.step(p.optimiser.lr);
    optimiser.zero_grad();
    const std::string gradient_file = "grad_step1" + extension;
    if (step == 0)
      compare_first_step(c, report, p, *model, gradients, "after_step1" + extension,
                         std::filesystem::exists(c.folder / gradient_file) ? gradient_file : "");
  }
  report.compare("output/losses", losses);
}

TEST(OptimiserParity, StepsOfTheOriginals) {
  testing::expect_parity({"train/optimiser_step"}, {{"train/optimiser_step", optimiser_step}});
}

}  // namespace
}  // namespace xp::train
