// The transformers against the originals' outputs: every case of model/{ast,passt,ssast,torchonly}.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "core/model/masked.h"
#include "core/model/position.h"
#include "core/model/trunk.h"
#include "tests/model/originals.h"
#include "tests/testing/tensors.h"

namespace xp::model {
namespace {

using testing::Case;
using testing::floats_of;
using testing::integers_of;
using testing::Report;
using testing::tensor_of;

TrunkOptions options_of(const Case& c) {
  TrunkOptions o;
  o.dim = c.json.at("embed_dim");
  o.depth = c.json.at("depth");
  o.heads = c.json.at("num_heads");
  return o;
}

/// Logits and embedding without gradients; mel [B, F, T].
Output evaluate(const Trunk& model, const Input& input, Pass pass = {}) {
  const at::NoGradGuard no_grad;
  pass.want_tokens = true;
  return model.forward(input, pass);
}
Output evaluate(const Trunk& model, const at::Tensor& mel, const Pass& pass = {}) {
  return evaluate(model, Input::whole(mel), pass);
}

std::string weights_file(const Case& c, size_t index = 0) {
  return (c.folder / c.json.at("weights").at(index)).string();
}

/// "mlp_head.0.weight" or "0.weight" -> "head.norm.weight".
std::string head_name(std::string name) {
  if (name.rfind("mlp_head.", 0) == 0) name = name.substr(9);
  return (name[0] == '0' ? "head.norm." : "head.linear.") + name.substr(2);
}

/// A position embedding of the originals, [1, 2 + F T, D], from ours.
at::Tensor joined(const at::Tensor& special, const at::Tensor& grid) {
  return at::cat({special, grid.reshape({-1, grid.size(2)})}).unsqueeze(0);
}

/// An AST whose embedding comes from a checkpoint of another grid.
void ast_import(const Case& c, Report& report, TrunkOptions o) {
  const Grid from{c.json.at("original_grid").at(0), c.json.at("original_grid").at(1)};
  Weights weights = from_ast(read_weights(weights_file(c, 0)), from);
  weights["pos.grid"] = fit_grid(weights.at("pos.grid"), o.grid);
  const bool image = weights.at("patch_embed.proj.weight").size(1) == 3;
  if (image) {
    weights["patch_embed.proj.weight"] = weights.at("patch_embed.proj.weight").sum(1, true);
    const Weights expected = from_ast(read_weights(weights_file(c, 1)), o.grid);
    for (const char* name : {"pos.grid", "pos.special", "patch_embed.proj.weight"}) {
      if (!at::allclose(weights.at(name), expected.at(name).view_as(weights.at(name)), 1e-4,
                        1e-4)) {
        report.fail(std::string(name) + " differs from the adapted checkpoint");
      }
    }
    for (const char* name :
         {"head.norm.weight", "head.norm.bias", "head.linear.weight", "head.linear.bias"}) {
      weights[name] = expected.at(name);
    }
  } else {
    report.compare("output/pos_embed_after",
                   floats_of(joined(weights.at("pos.special"), weights.at("pos.grid"))));
    for (const auto& [name, tensor] : read_weights(weights_file(c, 1))) {
      weights[head_name(name)] = tensor;
    }
  }
  if (!c.has("output/logits")) return;
  Trunk model(o, Init(0, false));
  load(model, weights);
  const at::Tensor mel = tensor_of(c.at("input/spectrogram")).transpose(1, 2);
  report.compare("output/logits", floats_of(evaluate(model, mel).logits));
}

void ast(const Case& c, Report& report) {
  TrunkOptions o = options_of(c);
  o.stride_f = c.json.at("fstride");
  o.stride_t = c.json.at("tstride");
  o.grid = {c.json.at("f_dim"), c.json.at("t_dim")};
  o.classes = c.json.at("label_dim");
  if (c.json.contains("original_grid")) return ast_import(c, report, o);

  for (const auto& file : c.json.at("weights")) {
    Trunk model(o, Init(0, false));
    load(model, from_ast(read_weights(c.folder / file), o.grid));
    const at::Tensor mel = tensor_of(c.at("input/spectrogram")).transpose(1, 2);
    const Output out = evaluate(model, mel);
    report.compare("output/logits", floats_of(out.logits));
    report.compare("output/tokens_norm", floats_of(out.tokens[0]));
    // Tokens between the blocks: the same weights in a trunk that ends earlier, its norm undone by
    // a plain one.
    for (int64_t depth = 0; depth <= o.depth; ++depth) {
      Tokens tokens;
      const at::NoGradGuard no_grad;
      Grid grid;
      const at::Tensor raw = model.patches(mel.narrow(0, 0, 1), grid);
      tokens.x = model.embed_patches(raw)[0] + model.position(grid);
      tokens.runs = {{1, grid.count()}};
      model.run_blocks(tokens, {}, {}, depth);
      const std::string name =
          depth == 0 ? "tokens_embedded" : "tokens_block" + std::to_string(depth - 1);
      report.compare("output/" + name, floats_of(tokens.x));
    }
  }
}

TrunkOptions passt_options(const Case& c) {
  TrunkOptions o = options_of(c);
  o.position = PositionKind::kSeparate;
  o.stride_f = c.json.at("stride").at(0);
  o.stride_t = c.json.at("stride").at(1);
  o.classes = c.json.at("n_classes");
  o.grid = {c.json.at("freq_pos_len"), c.json.at("time_pos_len")};
  return o;
}

at::Tensor passt_input(const Case& c, const std::string& name) {
  return tensor_of(c.at(name)).squeeze(1);
}

void passt_eval(const Case& c, Report& report, const Trunk& model) {
  for (const int64_t length : c.json.at("input_lengths")) {
    const std::string tail = '_' + std::to_string(length);
    const Output out = evaluate(model, passt_input(c, "input/spec" + tail));
    report.compare("output/logits" + tail, floats_of(out.logits));
    report.compare("output/features" + tail, floats_of(out.embedding));
  }
}

/// The first `kept` of a random permutation of `there`, ascending, from LibTorch's generator.
std::vector<int64_t> drawn(int64_t there, int64_t kept) {
  return integers_of(std::get<0>(at::randperm(there, at::kLong).narrow(0, 0, kept).sort()));
}

/// PaSST's draws, in its order, from the seed of the case.
PatchoutDraws passt_draws(const nlohmann::json& variant, Grid grid, int64_t embedded) {
  at::manual_seed(variant.at("seed").get<uint64_t>());
  PatchoutDraws draws;
  if (grid.t < embedded)
    draws.time_offset = at::randint(1 + embedded - grid.t, {1}, at::kLong).item<int64_t>();
  const int64_t columns = variant.at("s_patchout_t"), rows = variant.at("s_patchout_f");
  const int64_t tokens = variant.at("u_patchout");
  if (columns > 0) draws.kept_columns = {drawn(grid.t, grid.t - columns)};
  if (rows > 0) draws.kept_rows = {drawn(grid.f, grid.f - rows)};
  const int64_t left = (grid.t - columns) * (grid.f - rows);
  if (tokens > 0) draws.kept_tokens = {drawn(left, left - tokens)};
  return draws;
}

void passt_train(const Case& c, Report& report, const Trunk& model) {
  const at::Tensor mel = passt_input(c, "input/spec");
  for (const auto& variant : c.json.at("variants")) {
    const std::string key = variant.at("key");
    const std::string base = "output/" + key + "/";
    Grid grid;
    model.patches(mel, grid);
    const PatchoutDraws draws = passt_draws(variant, grid, model.options().grid.t);
    report.compare_value(key + " time offset", static_cast<double>(draws.time_offset),
                         variant.at("time_offset"));
    const auto check = [&](const char* name, const std::vector<std::vector<int64_t>>& list) {
      if (c.has(base + name)) report.compare(base + name, list.at(0));
    };
    check("kept_time", draws.kept_columns);
    check("kept_freq", draws.kept_rows);
    check("kept_tokens", draws.kept_tokens);
    Pass pass;
    pass.training = true;
    pass.patchout = &draws;
    const Output out = evaluate(model, mel, pass);
    report.compare(base + "logits", floats_of(out.logits));
    report.compare(base + "features", floats_of(out.embedding));
  }
}

void passt_image(const Case& c, Report& report, const TrunkOptions& o) {
  const Grid image{c.json.at("image_grid").at(0), c.json.at("image_grid").at(1)};
  Weights weights = from_ast(read_weights(weights_file(c, 0)), image);
  const SeparatePosition position = separate_grid(weights.at("pos.grid"), o.grid);
  weights["pos.freq"] = position.freq;
  weights["pos.time"] = position.time;
  weights["patch_embed.proj.weight"] = weights.at("patch_embed.proj.weight").sum(1, true);
  report.compare("output/new_pos_embed", floats_of(weights.at("pos.special")));
  report.compare("output/freq_new_pos_embed", floats_of(position.freq.t()));
  report.compare("output/time_new_pos_embed", floats_of(position.time.t()));
  report.compare("output/proj_weight", floats_of(weights.at("patch_embed.proj.weight")));
  const Weights whole = from_passt(read_weights(weights_file(c, 1)));
  for (const char* name :
       {"head.norm.weight", "head.norm.bias", "head.linear.weight", "head.linear.bias"}) {
    weights[name] = whole.at(name);
  }
  Trunk model(o, Init(0, false));
  load(model, weights);
  const Output out = evaluate(model, passt_input(c, "input/spec"));
  report.compare("output/logits", floats_of(out.logits));
  report.compare("output/features", floats_of(out.embedding));
}

void passt(const Case& c, Report& report) {
  const TrunkOptions o = passt_options(c);
  if (c.json.contains("image_grid")) return passt_image(c, report, o);
  Trunk model(o, Init(0, false));
  load(model, from_passt(read_weights(weights_file(c))));
  if (c.json.contains("variants")) return passt_train(c, report, model);
  passt_eval(c, report, model);
}

TrunkOptions ssast_options(const testing::Settings& j) {
  TrunkOptions o;
  o.dim = j.at("embed_dim");
  o.depth = j.at("depth");
  o.heads = j.at("num_heads");
  o.patch_f = j.at("fshape");
  o.patch_t = j.at("tshape");
  o.stride_f = j.at("fstride");
  o.stride_t = j.at("tstride");
  return o;
}

void ssast_finetune(const Case& c, Report& report) {
  TrunkOptions o = ssast_options(c.json);
  o.grid = {c.json.at("f_dim"), c.json.at("t_dim")};
  o.classes = c.json.at("label_dim");
  // "pretrained weights: ../patch_pretrain/ssast_pretrain.pth; ..."
  const std::string note = c.json.at("weights_note");
  const size_t begin = note.find("../");
  const std::filesystem::path file = c.folder / note.substr(begin, note.find(';') - begin);
  const Weights pretrained = read_weights(file);
  const Grid from{
      schema::patches_along(pretrained.at("p_input_fdim").item<int64_t>(), o.patch_f, o.patch_f),
      schema::patches_along(pretrained.at("p_input_tdim").item<int64_t>(), o.patch_t, o.patch_t)};
  Weights weights = from_ast(pretrained, from);
  weights["pos.grid"] = fit_grid(weights.at("pos.grid"), o.grid);
  report.compare("output/pos_embed_after",
                 floats_of(joined(weights.at("pos.special"), weights.at("pos.grid"))));
  for (const auto& [name, tensor] : read_weights(weights_file(c))) {
    weights[head_name(name)] = tensor;
  }
  const at::Tensor mel = tensor_of(c.at("input/spectrogram")).transpose(1, 2);
  for (const auto& [aggregator, output] : {std::pair{Aggregator::kMean, "output/logits_avgtok"},
                                           {Aggregator::kClsDist, "output/logits_cls"}}) {
    o.aggregator = aggregator;
    Trunk model(o, Init(0, false));
    load(model, weights);
    report.compare(output, floats_of(evaluate(model, mel).logits));
  }
}

void ssast_pretrain(const Case& c, Report& report) {
  TrunkOptions o = ssast_options(c.json);
  o.grid = {c.json.at("grid").at(0), c.json.at("grid").at(1)};
  o.aggregator = Aggregator::kNone;
  MaskedTrunk model(o, Init(0, false));
  load(model, from_ast(read_weights(weights_file(c)), o.grid));
  const at::Tensor mel = tensor_of(c.at("input/spectrogram")).transpose(1, 2);
  Grid grid;
  const at::Tensor raw = model.patches(mel, grid);
  report.compare("output/patches", floats_of(raw[0]));
  report.compare("output/patch_embedding", floats_of(model.embed_patches(raw)[0]));

  const MaskedLosses losses =
      model.losses(Input::whole(mel), tensor_of(c.at("input/mask_index")), true, true, {});
  const at::Tensor joint = (losses.nce + 10 * losses.mse).mean();
  report.compare("output/nce", floats_of(losses.nce.mean()));
  report.compare("output/accuracy", floats_of(losses.accuracy.mean()));
  report.compare("output/mse", floats_of(losses.mse.mean()));
  report.compare("output/joint", floats_of(joint));
  joint.backward();
  const std::map<std::string, std::string> gradients = {
      {"mask_embed", "grad_mask_embed"},
      {"cpredlayer.2.weight", "grad_cpred2_weight"},
      {"gpredlayer.0.bias", "grad_gpred0_bias"},
      {"patch_embed.proj.bias", "grad_patch_proj_bias"}};
  for (const NamedTensor& entry : model.parameters()) {
    const auto found = gradients.find(entry.name);
    if (found == gradients.end()) continue;
    const testing::Array& expected = c.at("output/" + found->second);
    // Large matrices are given by their first rows.
    const at::Tensor got = entry.tensor.grad().flatten().narrow(0, 0, expected.size());
    report.compare("output/" + found->second, floats_of(got));
  }
}

void ssast(const Case& c, Report& report) {
  if (c.has("input/mask_index")) return ssast_pretrain(c, report);
  ssast_finetune(c, report);
}

void torchonly_masked(const Case& c, Report& report) {
  const Weights weights = from_torchonly(read_weights(weights_file(c)));
  TrunkOptions o = torchonly_options(c, weights);
  o.aggregator = Aggregator::kNone;
  MaskedTrunk model(o, Init(0, false));
  load(model, weights);
  const at::Tensor mask = tensor_of(c.at("input/mask")).flatten(1);
  const at::Tensor index = mask.nonzero().select(1, 1).view({mask.size(0), -1});
  const auto predicted =
      model.predict(Input::whole(tensor_of(c.at("input/spec"))), index, true, true, {}).at(0);
  report.compare("output/rec_out", floats_of(predicted.generated));
  report.compare("output/rec_target", floats_of(predicted.truth));
  report.compare("output/cls_out", floats_of(predicted.contrastive));
  report.compare("output/cls_target", floats_of(predicted.truth));
  report.compare("output/length", integers_of(mask.sum(1)));
  const MaskedLosses losses = masked_losses(predicted);
  report.compare("output/mse", floats_of(losses.mse.mean()));
  report.compare("output/nce", floats_of(losses.nce.mean()));
}

/// TorchOnlyAST's structured patchout lists what is dropped.
std::vector<int64_t> kept_of(const std::vector<int64_t>& dropped, int64_t there) {
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < there; ++i) {
    if (std::find(dropped.begin(), dropped.end(), i) == dropped.end()) kept.push_back(i);
  }
  return kept;
}

void torchonly_train(const Case& c, Report& report, const Trunk& model) {
  const at::Tensor mel = tensor_of(c.at("input/" + c.json.at("train_input").get<std::string>()));
  Grid grid;
  model.patches(mel, grid);
  PatchoutDraws draws;
  at::manual_seed(c.json.at("train_seed").get<uint64_t>());
  const int64_t batch = c.json.value("sample_wise", false) ? mel.size(0) : 1;
  std::vector<int64_t> rows, columns, tokens;  // dropped, clip by clip
  const testing::Settings patchout = c.json.value("patchout", nlohmann::json::object());
  const auto drop = [&](int64_t there, const std::string& count, std::vector<int64_t>& list,
                        std::vector<std::vector<int64_t>>& kept) {
    const int64_t dropped = c.json.value(count, patchout.value(count, int64_t{0}));
    if (dropped == 0) return;
    const std::vector<int64_t> out = drawn(there, dropped);
    list.insert(list.end(), out.begin(), out.end());
    kept.push_back(kept_of(out, there));
  };
  for (int64_t clip = 0; clip < batch; ++clip) {
    drop(grid.f, "num_frequency_drops", rows, draws.kept_rows);
    drop(grid.t, "num_time_drops", columns, draws.kept_columns);
    drop(grid.count(), "num_drops", tokens, draws.kept_tokens);
  }
  if (!rows.empty()) report.compare("output/train_dropped_freq", rows);
  if (!columns.empty()) report.compare("output/train_dropped_time", columns);
  if (!tokens.empty()) report.compare("output/train_dropped_tokens", tokens);
  Pass pass;
  pass.training = true;
  pass.patchout = &draws;
  report.compare("output/train_logits", floats_of(last_output(evaluate(model, mel, pass))));
}

void torchonly(const Case& c, Report& report) {
  if (c.has("input/mask")) return torchonly_masked(c, report);
  const Weights weights = from_torchonly(read_weights(weights_file(c)));
  const TrunkOptions o = torchonly_options(c, weights);
  report.every_setting();
  report.compare_value(
      "rows of patches", static_cast<double>(o.grid.f),
      static_cast<double>(schema::patches_along(c.json.at("n_bins"), o.patch_f, o.stride_f)));
  report.compare_value(
      "columns of patches", static_cast<double>(o.grid.t),
      static_cast<double>(schema::patches_along(c.json.at("n_frames"), o.patch_t, o.stride_t)));
  Trunk model(o, Init(0, false));
  load(model, weights);
  for (const int64_t frames : c.json.at("input_lengths")) {
    const std::string tail = '_' + std::to_string(frames);
    const at::Tensor mel = tensor_of(c.at("input/spec" + tail));
    report.compare("output/logits" + tail, floats_of(last_output(evaluate(model, mel))));
    if (!c.has("input/length" + tail)) continue;
    if (!c.has("output/logits_length" + tail)) continue;
    Pass pass;
    pass.positions_of_widest = true;
    const Input padded({mel, c.at("input/length" + tail).i64});
    report.compare("output/logits_length" + tail,
                   floats_of(last_output(evaluate(model, padded, pass))));
  }
  if (c.json.contains("train_input")) torchonly_train(c, report, model);
}

const testing::Drivers kDrivers = {{"model/ast", ast},
                                   {"model/passt", passt},
                                   {"model/ssast", ssast},
                                   {"model/torchonly", torchonly}};

TEST(TransformersParity, EveryCase) {
  at::set_num_threads(1);
  testing::expect_parity({"model/ast", "model/passt", "model/ssast", "model/torchonly"}, kDrivers);
}

TEST(TransformersParity, FlippedValuesAreNoticed) {
  at::set_num_threads(1);
  testing::expect_flips_noticed(kDrivers);
}

}  // namespace
}  // namespace xp::model
