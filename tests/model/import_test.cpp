// Checkpoints in the originals' names: imported by load_weights alone they give the originals'
// outputs, what is exported is what was imported, and what does not fit is said.
#include "core/model/files/import.h"

#include <array>
#include <map>
#include <string>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/model/cnn/mn.h"
#include "core/model/files/archive_tensors.h"
#include "core/model/files/export.h"
#include "core/model/pool.h"
#include "core/model/registry.h"
#include "core/model/torchonly.h"
#include "core/model/trunk.h"
#include "core/recipe/options_io.h"
#include "tests/model/originals.h"
#include "tests/testing/fixtures.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tensors.h"

namespace xp::model {
namespace {

using checkpoint::Archive;
using nlohmann::json;
using testing::Case;
using testing::floats_of;
using testing::Report;
using testing::tensor_of;

at::Tensor logits_of(const Trunk& model, const at::Tensor& mel) {
  const at::NoGradGuard no_grad;
  return model.forward(Input::whole(mel), {}).logits;
}

/// The first of `keys` that the case has.
int64_t number(const testing::Settings& object, std::initializer_list<const char*> keys,
               int64_t otherwise) {
  for (const char* key : keys) {
    if (object.is_set(key)) return object.at(key);
  }
  return otherwise;
}

TrunkOptions import_options(const Case& c) {
  const testing::Settings& j = c.json;
  TrunkOptions o;
  o.dim = j.at("embed_dim");
  o.depth = j.at("depth");
  o.heads = j.at("num_heads");
  o.hidden = number(j, {"dim_feedforward"}, 0);
  o.classes = number(j, {"label_dim", "n_classes", "out_channels"}, 0);
  o.patch_f = number(j, {"fshape"}, 16);
  o.patch_t = number(j, {"tshape"}, 16);
  if (j.contains("stride")) {
    o.stride_f = j.at("stride").at(0);
    o.stride_t = j.at("stride").at(1);
  } else {
    o.stride_f = j.at("fstride");
    o.stride_t = j.at("tstride");
  }
  const int64_t bins = number(j, {"input_fdim", "n_bins"}, 128);
  const int64_t frames = number(j, {"input_tdim", "n_frames"}, 0);
  o.grid = {schema::patches_along(bins, o.patch_f, o.stride_f),
            schema::patches_along(frames, o.patch_t, o.stride_t)};
  return o;
}

/// The weights go out again under the original's names and come back equal.
void expect_round_trip(const Trunk& model, const Archive& original, Original as, Report& report) {
  const Archive out = export_weights(model, as);
  const std::string prefix = rename(original, "file").prefix;  // of the copy that was taken
  for (const checkpoint::Entry& e : original.entries()) {
    if (!e.name.starts_with(prefix)) continue;
    // The export has AST's "module." and no other level.
    const std::string name = e.name.substr(prefix.size());
    const checkpoint::Entry* found = out.find(name);
    if (found == nullptr) found = out.find("module." + name);
    if (found == nullptr) {
      report.fail("the export lacks " + e.name);
      continue;
    }
    const bool unused =
        e.name.find("head_dist") != e.name.npos || e.name.find("v.head") != e.name.npos;
    if (!unused && !at::equal(to_tensor(*found), to_tensor(e)))
      report.fail("the export changed " + e.name);
  }
}

void fine_tuned_head(Trunk& model, const Archive& head) {
  const at::NoGradGuard no_grad;
  for (const NamedTensor& t : model.state()) {
    if (t.name.compare(0, 5, "head.") != 0) continue;
    const std::string layer = t.name.find("norm") != t.name.npos ? "mlp_head.0" : "mlp_head.1";
    const checkpoint::Entry* e = head.find("module." + layer + t.name.substr(t.name.rfind('.')));
    at::Tensor(t.tensor).copy_(to_tensor(*e));
  }
}

at::Tensor ast_input(const Case& c) { return tensor_of(c.at("input/spectrogram")).transpose(1, 2); }

bool is_image(const Archive& archive) {
  for (const checkpoint::Entry& e : archive.entries())
    if (e.name.ends_with("patch_embed.proj.weight")) return e.shape.at(1) == 3;
  return false;
}

void import_ast(const Case& c, Report& report) {
  const TrunkOptions o = import_options(c);
  // A start and the file with the fine-tuned head, or one model in several forms.
  const bool fitted = c.json.contains("original_grid");
  const std::vector<std::string> files = c.json.at("weights");
  for (size_t i = 0; i < files.size(); ++i) {
    const Archive archive = Archive::open(c.folder / files[i]);
    const bool head_alone = i > 0 && archive.find("module.v.pos_embed") == nullptr;
    if (fitted && head_alone) continue;
    Trunk model(o, Init(3));
    ImportOptions import;
    if (fitted && i == 0 && !is_image(archive))
      import.grid = {c.json.at("original_grid").at(0), c.json.at("original_grid").at(1)};
    load_weights(model, archive, files[i], import);
    if (fitted && i == 0) {
      fine_tuned_head(model, Archive::open(c.folder / files.at(1)));
    } else {
      expect_round_trip(model, archive, Original::kAst, report);
    }
    if (c.has("output/logits"))
      report.compare("output/logits", floats_of(logits_of(model, ast_input(c))));
    if (c.has("output/pos_embed_after")) {
      const Archive out = export_weights(model, Original::kAst);
      report.compare("output/pos_embed_after",
                     floats_of(to_tensor(*out.find("module.v.pos_embed"))));
    }
  }
}

void import_passt(const Case& c, Report& report) {
  TrunkOptions o = import_options(c);
  o.position = PositionKind::kSeparate;
  o.grid = {c.json.at("freq_pos_len"), c.json.at("time_pos_len")};
  Trunk model(o, Init(3));
  const Archive whole = Archive::open(c.folder / c.json.at("weights").back().get<std::string>());
  load_weights(model, whole, "passt.pt");
  expect_round_trip(model, whole, Original::kPasst, report);
  if (c.json.contains("image_grid")) {
    // The image's classifiers have no place here; that of the finished model is kept.
    load_weights(model, Archive::open(c.folder / c.json.at("weights").at(0)), "deit_before.pth");
    report.compare("output/logits",
                   floats_of(logits_of(model, tensor_of(c.at("input/spec")).squeeze(1))));
    return;
  }
  if (!c.json.contains("input_lengths")) return;
  for (const int64_t length : c.json.at("input_lengths")) {
    const std::string tail = '_' + std::to_string(length);
    report.compare("output/logits" + tail,
                   floats_of(logits_of(model, tensor_of(c.at("input/spec" + tail)).squeeze(1))));
  }
}

void import_ssast(const Case& c, Report& report) {
  if (c.has("input/mask_index")) return;
  TrunkOptions o = import_options(c);
  const std::string note = c.json.at("weights_note");
  const size_t begin = note.find("../");
  const Archive pretrained = Archive::open(c.folder / note.substr(begin, note.find(';') - begin));
  for (const auto& [aggregator, output] : {std::pair{Aggregator::kMean, "output/logits_avgtok"},
                                           {Aggregator::kClsDist, "output/logits_cls"}}) {
    o.aggregator = aggregator;
    Trunk model(o, Init(3));
    load_weights(model, pretrained, "ssast_pretrain.pth");
    fine_tuned_head(model, Archive::open(c.folder / c.json.at("weights").at(0)));
    report.compare(output, floats_of(logits_of(model, ast_input(c))));
  }
}

void import_torchonly(const Case& c, Report& report) {
  if (c.has("input/mask")) return;
  const std::filesystem::path file = c.folder / c.json.at("weights").at(0);
  const Archive archive = Archive::open(file);
  const auto check = [&](const Trunk& model) {
    expect_round_trip(model, archive, Original::kTorchOnly, report);
    const at::NoGradGuard no_grad;
    for (const int64_t frames : c.json.at("input_lengths")) {
      const std::string tail = '_' + std::to_string(frames);
      const Output out = model.forward(Input::whole(tensor_of(c.at("input/spec" + tail))), {});
      report.compare("output/logits" + tail, floats_of(last_output(out)));
    }
  };
  // With and without positions of its own for the special tokens, which are zero then.
  TrunkOptions o = torchonly_options(c, from_torchonly(read_weights(file)));
  for (const bool special : {false, true}) {
    o.special_position = special;
    Trunk model(o, Init(3));
    load_weights(model, archive, "model.pth");
    check(model);
  }
  // The model that the file itself describes.
  const auto config = torchonly_config(archive, file);
  if (!config) return;
  const auto described = make_model({.options = config->model,
                                     .geometry = config->input,
                                     .classes = std::max<int64_t>(o.classes, 1)});
  load_weights(*described, archive, "model.pth");
  check(dynamic_cast<const Trunk&>(*described));
}

/// What of a checkpoint's description goes out with its weights.
std::map<std::string, std::string> config_of(const Archive& archive) {
  std::map<std::string, std::string> config;
  for (const auto& [key, value] : archive.metadata())
    if (key.starts_with("resolved_config.model.")) config[key] = value;
  return config;
}

void torchonly_description(const Case& c, Report& report) {
  if (c.has("input/mask")) return;
  const std::filesystem::path file = c.folder / c.json.at("weights").at(0);
  const Archive archive = Archive::open(file);
  const auto config = torchonly_config(archive, file);
  if (!config) return;
  const int64_t classes = c.json.value("out_channels", int64_t{1});
  const auto described =
      make_model({.options = config->model, .geometry = config->input, .classes = classes});
  load_weights(*described, archive, "model.pth");
  const testing::TempDir dir;
  export_weights(*described, Original::kTorchOnly, config->input)
      .write_torch(dir / "out.pth", "model");
  const Archive out = Archive::open(dir / "out.pth");
  // Read again it is the same model; each argument that the file has is written.
  auto again = torchonly_config(out, dir / "out.pth");
  again->model.arch = config->model.arch;  // SSAST is written as AST
  report.compare_text("options", recipe::to_text(again->model), recipe::to_text(config->model));
  const auto written = config_of(out);
  for (const auto& [key, value] : config_of(archive)) {
    if (key.find(".dropout.") != key.npos || value == "null") continue;  // of the training
    if (key == "resolved_config.model._target_") continue;               // SSAST is written as AST
    const auto found = written.find(key);
    if (found == written.end()) {
      report.fail("not written: " + key);
    } else if (nlohmann::json::parse(value, nullptr, false).is_number()) {
      report.compare_value(key, std::stod(found->second), std::stod(value));
    } else {
      report.compare_text(key, found->second, value);
    }
  }
}

/// Only what comes from the weights is compared here; transformer_parity_test.cpp compares all.
testing::Driver only_imports(testing::Driver driver) {
  return [driver](const Case& c, Report& report) {
    for (const auto& [name, array] : c.arrays) {
      if (name.compare(0, 7, "output/") == 0)
        report.elsewhere(name, "tests/model/transformer_parity_test.cpp");
    }
    driver(c, report);
  };
}

TEST(ImportParity, OriginalsByName) {
  at::set_num_threads(1);
  testing::expect_parity({"model/ast", "model/passt", "model/ssast", "model/torchonly"},
                         {{"model/ast", only_imports(import_ast)},
                          {"model/passt", only_imports(import_passt)},
                          {"model/ssast", only_imports(import_ssast)},
                          {"model/torchonly", only_imports(import_torchonly)}});
}

TEST(ImportParity, TorchOnlyDescribesTheModelInBothDirections) {
  testing::expect_parity({"model/torchonly"},
                         {{"model/torchonly", only_imports(torchonly_description)}});
}

// --- without fixtures

TrunkOptions tiny_model() {
  TrunkOptions o;
  o.dim = 8;
  o.depth = 2;
  o.heads = 2;
  o.stride_f = o.stride_t = 16;
  o.grid = {8, 4};
  o.classes = 5;
  return o;
}

void expect_equal(const Module& a, const Module& b, const std::string& except = "") {
  const auto left = a.state();
  const auto right = b.state();
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) {
    if (!except.empty() && left[i].name.compare(0, except.size(), except) == 0) continue;
    EXPECT_TRUE(at::equal(left[i].tensor, right[i].tensor)) << left[i].name;
  }
}

std::string error_of(Model& model, const Archive& archive, const ImportOptions& options = {}) {
  try {
    load_weights(model, archive, "file.pth", options);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

/// The archive with a prefix in front of every name, without `without`.
Archive renamed(const Archive& archive, const std::string& prefix,
                const std::string& without = "") {
  Archive out;
  for (checkpoint::Entry e : archive.entries()) {
    if (!without.empty() && e.name == without) continue;
    e.name = prefix + e.name;
    out.add(std::move(e));
  }
  return out;
}

TEST(Import, EveryFormComesBack) {
  for (const Original as : {Original::kExp, Original::kAst, Original::kTorchOnly}) {
    SCOPED_TRACE(original_name(as));
    TrunkOptions o = tiny_model();
    o.special_position = as != Original::kTorchOnly;
    const Trunk model(o, Init(1));
    Trunk other(o, Init(2));
    load_weights(other, export_weights(model, as), "file");
    expect_equal(model, other);
  }
  TrunkOptions o = tiny_model();
  o.position = PositionKind::kSeparate;
  const Trunk model(o, Init(1));
  Trunk other(o, Init(2));
  load_weights(other, export_weights(model, Original::kPasst), "file");
  expect_equal(model, other);
}

/// A model under the names of transformers, before version 5 and from it on.
Archive as_transformers(const Trunk& model, bool five) {
  const std::string top = "audio_spectrogram_transformer.";
  std::map<std::string, at::Tensor> ours;
  for (const auto& part : model.state()) ours[part.name] = part.tensor.detach();
  Archive out;
  const auto put = [&](const std::string& name, const at::Tensor& tensor) {
    out.add(to_entry(name, tensor.contiguous()));
  };
  put(top + "embeddings.cls_token", ours.at("cls_token"));
  put(top + "embeddings.distillation_token", ours.at("dist_token"));
  put(top + "embeddings.position_embeddings",
      at::cat({ours.at("pos.special"), ours.at("pos.grid").flatten(0, 1)}).unsqueeze(0));
  for (const char* what : {"weight", "bias"}) {
    const std::string end = std::string(".") + what;
    put(top + "embeddings.patch_embeddings.projection" + end, ours.at("patch_embed.proj" + end));
    put(top + "layernorm" + end, ours.at("norm" + end));
    put("classifier.layernorm" + end, ours.at("head.norm" + end));
    put("classifier.dense" + end, ours.at("head.linear" + end));
    for (int64_t i = 0; i < model.options().depth; ++i) {
      const std::string from = "blocks." + std::to_string(i);
      const std::string to = top + (five ? "layers." : "encoder.layer.") + std::to_string(i);
      const auto qkv = ours.at(from + ".attn.qkv" + end).chunk(3);
      const auto& names =
          five ? std::array{".attention.q_proj", ".attention.k_proj", ".attention.v_proj",
                            ".attention.o_proj", ".mlp.fc1",          ".mlp.fc2"}
               : std::array{".attention.attention.query", ".attention.attention.key",
                            ".attention.attention.value", ".attention.output.dense",
                            ".intermediate.dense",        ".output.dense"};
      for (size_t part = 0; part < 3; ++part) put(to + names.at(part) + end, qkv[part]);
      put(to + names[3] + end, ours.at(from + ".attn.proj" + end));
      put(to + names[4] + end, ours.at(from + ".mlp.fc1" + end));
      put(to + names[5] + end, ours.at(from + ".mlp.fc2" + end));
      put(to + ".layernorm_before" + end, ours.at(from + ".norm1" + end));
      put(to + ".layernorm_after" + end, ours.at(from + ".norm2" + end));
    }
  }
  return out;
}

TEST(Import, BothNamesOfTransformers) {
  const Trunk model(tiny_model(), Init(1));
  for (const bool five : {false, true}) {
    SCOPED_TRACE(five);
    Trunk other(tiny_model(), Init(2));
    const ImportReport report = load_weights(other, as_transformers(model, five), "file");
    EXPECT_EQ(report.original, Original::kHuggingFace);
    expect_equal(model, other);
  }
}

TEST(Import, WrapperLevelsAreTakenOff) {
  const Trunk model(tiny_model(), Init(1));
  const Archive plain = export_weights(model, Original::kAst);
  for (const char* prefix : {"", "model.", "state_dict.net.", "net._orig_mod.", "model.module."}) {
    SCOPED_TRACE(prefix);
    Trunk other(tiny_model(), Init(2));
    load_weights(other, renamed(plain, prefix), "file");
    expect_equal(model, other);
  }
}

TEST(Import, TheAveragedCopyIsTaken) {
  TrunkOptions o = tiny_model();
  o.position = PositionKind::kSeparate;
  const Trunk last(o, Init(1));
  const Trunk averaged(o, Init(2));
  Archive both = renamed(export_weights(last, Original::kPasst), "net.");
  const Archive second = renamed(export_weights(averaged, Original::kPasst), "net_swa.");
  for (checkpoint::Entry e : second.entries()) both.add(std::move(e));
  Trunk model(o, Init(3));
  load_weights(model, both, "file");
  expect_equal(model, averaged);
}

TEST(Import, EveryAveragedCopyIsTakenAndSaid) {
  const Trunk last(tiny_model(), Init(1));
  const Trunk averaged(tiny_model(), Init(2));
  for (const char* level : {"state_dict_ema", "model_ema", "ema_state_dict", "ema", "net_swa"}) {
    SCOPED_TRACE(level);
    Archive both = renamed(export_weights(last, Original::kAst), "state_dict.");
    const Archive second =
        renamed(export_weights(averaged, Original::kAst), level + std::string("."));
    Trunk model(tiny_model(), Init(3));
    EXPECT_TRUE(load_weights(model, both, "file").exact());
    for (checkpoint::Entry e : second.entries()) both.add(std::move(e));
    const ImportReport report = load_weights(model, both, "file");
    expect_equal(model, averaged);
    EXPECT_EQ(report.averaged, level);
    EXPECT_FALSE(report.exact());
    EXPECT_EQ(report.line(), fmt::format("AST: 36 tensors of the averaged copy ({})", level));
    // Alone it is the only copy: nothing to tell.
    EXPECT_TRUE(load_weights(model, second, "file").exact());
  }
}

TEST(Import, AShardAloneIsToldSo) {
  const Trunk trained(tiny_model(), Init(1));
  const Archive lacks = renamed(export_weights(trained, Original::kAst), "", "module.v.norm.bias");
  Trunk model(tiny_model(), Init(2));
  try {
    load_weights(model, lacks, "model-00002-of-00003.safetensors");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(
        std::string(e.what()),
        "model-00002-of-00003.safetensors: it lacks 1 of the model's tensors: norm.bias; it is "
        "one of several shards: give their folder or its index");
  }
}

TEST(Import, OtherClassesLeaveTheHead) {
  const Trunk trained(tiny_model(), Init(1));
  TrunkOptions o = tiny_model();
  o.classes = 3;
  Trunk model(o, Init(2));
  const Trunk start(o, Init(2));
  const ImportReport report = load_weights(model, export_weights(trained, Original::kAst), "file");
  EXPECT_EQ(report.fresh, (std::vector<std::string>{"head.norm.weight", "head.norm.bias",
                                                    "head.linear.weight", "head.linear.bias"}));
  EXPECT_EQ(report.line(),
            "AST: 32 tensors; new: head.norm.weight, head.norm.bias, head.linear.weight, "
            "head.linear.bias");
  EXPECT_TRUE(at::equal(model.state().back().tensor, start.state().back().tensor));
}

TEST(Import, SaysWhatDoesNotFit) {
  const Trunk trained(tiny_model(), Init(1));
  const Archive whole = export_weights(trained, Original::kAst);
  const auto fails = [&](const TrunkOptions& o, const Archive& archive,
                         const ImportOptions& options = {}) {
    Trunk model(o, Init(2));
    const Trunk start(o, Init(2));
    std::string error = error_of(model, archive, options);
    if (!error.empty()) expect_equal(model, start);
    return error;
  };
  EXPECT_EQ(fails(tiny_model(), renamed(whole, "", "module.v.blocks.1.mlp.fc2.bias")),
            "file.pth: it lacks 1 of the model's tensors: blocks.1.mlp.fc2.bias; model.strict = "
            "false (--loose) leaves them at their start values");
  TrunkOptions shallow = tiny_model();
  shallow.depth = 1;
  EXPECT_EQ(fails(shallow, whole).substr(0, 74),
            "file.pth: the model has no place for 12 of its tensors: module.v.blocks.1.");
  EXPECT_EQ(fails(shallow, whole, {.strict = false}), "");
  TrunkOptions wide = tiny_model();
  wide.dim = 16;
  EXPECT_EQ(
      fails(wide, whole, {.strict = false}).substr(0, 87),
      "file.pth: AST weights do not fit the model: cls_token is [1, 1, 8] there and [1, 1, 16]");
  EXPECT_EQ(fails(tiny_model(), renamed(whole, "something.")),
            "file.pth: the tensor names are none of AST, SSAST, PaSST, TorchOnlyAST, EfficientAT, "
            "timm DeiT/ViT or "
            "transformers AST (its first tensor is 'something.module.v.cls_token')");
  Mn cnn(MnOptions{}, Init(0, false));
  EXPECT_EQ(error_of(cnn, whole), "file.pth: these are weights of AST, the model is a CNN");
  Pool pool({128, 64}, 5, Init(0, false));
  EXPECT_EQ(error_of(pool, whole),
            "file.pth: these are weights of AST, the model is neither a transformer nor a CNN");
}

/// The archive with one tensor in another's place.
Archive with(const Archive& archive, const std::string& name, const at::Tensor& tensor) {
  Archive out = renamed(archive, "", name);
  out.add(to_entry(name, tensor));
  return out;
}

/// Without the advice behind it.
std::string start_of(const std::string& error) { return error.substr(0, error.find(';')); }

TEST(Import, AClassifierIsWholeOrNew) {
  const Trunk trained(tiny_model(), Init(1));
  const Archive whole = export_weights(trained, Original::kAst);
  const auto error = [](const Archive& archive) {
    Trunk model(tiny_model(), Init(2));
    return error_of(model, archive);
  };
  EXPECT_EQ(start_of(error(renamed(whole, "", "module.mlp_head.1.bias"))),
            "file.pth: it lacks 1 of the model's tensors: head.linear.bias");
  EXPECT_EQ(start_of(error(renamed(whole, "", "module.mlp_head.1.weight"))),
            "file.pth: it lacks 1 of the model's tensors: head.linear.weight");
  EXPECT_EQ(error(with(whole, "module.mlp_head.1.weight", at::zeros({5, 4}))),
            "file.pth: AST weights do not fit the model: head.linear.weight is [5, 4] there and "
            "[5, 8] here");
  EXPECT_EQ(error(with(whole, "module.mlp_head.1.bias", at::zeros({6}))),
            "file.pth: AST weights do not fit the model: head.linear.bias is [6] there and [5] "
            "here");
  Trunk model(tiny_model(), Init(2));
  EXPECT_EQ(untrained_head(model, load_weights(model, whole, "file")), "");
  const Archive without =
      renamed(renamed(whole, "", "module.mlp_head.1.weight"), "", "module.mlp_head.1.bias");
  EXPECT_EQ(untrained_head(model, load_weights(model, without, "file")), "head.norm.weight");
}

TEST(Import, OnlyImagesLackTheDistillationToken) {
  const Trunk trained(tiny_model(), Init(1));
  Trunk model(tiny_model(), Init(2));
  const Archive lacks = renamed(export_weights(trained, Original::kAst), "", "module.v.dist_token");
  EXPECT_EQ(start_of(error_of(model, lacks)),
            "file.pth: it lacks 1 of the model's tensors: dist_token");
}

TEST(Import, QueriesKeysAndValuesBelongTogether) {
  const Trunk trained(tiny_model(), Init(1));
  const Archive whole = as_transformers(trained, true);
  const std::string at = "audio_spectrogram_transformer.layers.1.attention.";
  Trunk model(tiny_model(), Init(2));
  EXPECT_EQ(start_of(error_of(model, renamed(whole, "", at + "k_proj.weight"))),
            "file.pth: it lacks 1 of the model's tensors: blocks.1.attn.qkv.weight");
  EXPECT_EQ(error_of(model, with(whole, at + "v_proj.weight", at::zeros({4, 8}))),
            "file.pth: '" + at + "q_proj.weight' is [8, 8] and '" + at +
                "v_proj.weight' is [4, 8]: queries, keys and values have one shape");
  EXPECT_EQ(error_of(model, with(whole, at + "k_proj.bias", at::scalar_tensor(0.5))),
            "file.pth: '" + at + "q_proj.bias' is [8] and '" + at +
                "k_proj.bias' is []: queries, keys and values have one shape");
}

TEST(Import, FramesHaveOneRow) {
  TrunkOptions o = tiny_model();
  o.patch_f = o.stride_f = 128;
  o.patch_t = o.stride_t = 2;
  o.grid = {1, 512};
  const Trunk trained(o, Init(1));
  // A fine-tuned SSAST has AST's names, and nothing but its kernel says what its patches are.
  const Archive file = export_weights(trained, Original::kAst);
  o.grid = {1, 256};
  Trunk model(o, Init(2));
  const ImportReport report = load_weights(model, file, "file");
  ASSERT_EQ(report.reshaped.size(), 1U);
  EXPECT_EQ(report.reshaped[0].what, "1x512 -> 1x256, time cut around the middle, frequency kept");
  std::map<std::string, at::Tensor> from;
  for (const NamedTensor& t : trained.state()) from[t.name] = t.tensor;
  for (const NamedTensor& t : model.state()) {
    if (t.name != "pos.grid") continue;
    EXPECT_TRUE(at::equal(t.tensor, from.at("pos.grid").narrow(1, 128, 256)));
  }
}

TEST(Import, MalformedTensorsAreNamed) {
  const Trunk trained(tiny_model(), Init(1));
  const Archive whole = export_weights(trained, Original::kAst);
  const std::string positions = "module.v.pos_embed";
  Trunk model(tiny_model(), Init(2));
  const struct {
    std::vector<int64_t> shape;
    const char* want;
  } cases[] = {
      {{34, 8}, "'module.v.pos_embed' is [34, 8], its place is for [1, n, n]"},
      {{0, 34, 8}, "'module.v.pos_embed' is [0, 34, 8], its place is for [1, n, n]"},
      {{1, 0, 8}, "'module.v.pos_embed' is [1, 0, 8], its place is for [1, n, n]"},
      {{1, 2, 8},
       "'module.v.pos_embed' is [1, 2, 8]: 2 rows are of the special tokens, none of patches"},
      {{}, "'module.v.pos_embed' is [], its place is for [1, n, n]"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(error_of(model, with(whole, positions, at::zeros(c.shape))),
              std::string("file.pth: ") + c.want);
  }
  // What no rule foresees names the file too, and shows no stack.
  TrunkOptions o = tiny_model();
  const Archive own = export_weights(trained, Original::kExp);
  o.special_position = false;
  Trunk other(o, Init(2));
  const std::string error = error_of(other, with(own, "pos.special", at::scalar_tensor(0.0)));
  EXPECT_EQ(error.substr(0, 50), "file.pth: its tensors cannot be made the model's: ") << error;
  EXPECT_EQ(error.find("frame #"), error.npos);
}

TEST(Import, NamesOutOfTheFileDoNotReachTheTerminal) {
  const Trunk trained(tiny_model(), Init(1));
  Archive more = export_weights(trained, Original::kAst);
  more.add(to_entry("module.\x1b[2J", at::zeros({1})));
  Trunk model(tiny_model(), Init(2));
  EXPECT_EQ(
      error_of(model, more),
      "file.pth: the model has no place for 1 of its tensors: module.\\x1b[2J; model.strict = "
      "false (--loose) ignores them");
  const ImportReport report = load_weights(model, more, "file", {.strict = false});
  EXPECT_NE(report.line().find("not used: module.\\x1b[2J"), std::string::npos);
  EXPECT_NE(report.text().find("unexpected  module.\\x1b[2J"), std::string::npos);
}

TEST(Import, ShortenedModelsTakeTheirBlocks) {
  TrunkOptions o = tiny_model();
  o.position = PositionKind::kSeparate;
  o.depth = 4;
  const Trunk full(o, Init(1));
  o.depth = 3;
  o.source_blocks = {0, 2, 3};
  Trunk cut(o, Init(2));
  const ImportReport report = load_weights(cut, export_weights(full, Original::kPasst), "file");
  ASSERT_FALSE(report.reshaped.empty());
  EXPECT_EQ(report.reshaped[0].what, "blocks 0, 2, 3 of the full model");
  std::map<std::string, at::Tensor> from;
  for (const NamedTensor& t : full.state()) from[t.name] = t.tensor;
  for (const NamedTensor& t : cut.state()) {
    if (t.name.compare(0, 9, "blocks.1.") != 0) continue;
    EXPECT_TRUE(at::equal(t.tensor, from.at("blocks.2." + t.name.substr(9))));
  }
}

TEST(Import, PlainVitStartsBothTokens) {
  const Trunk trained(tiny_model(), Init(1));
  Archive image;
  const Archive plain = export_weights(trained, Original::kDeit);
  for (const checkpoint::Entry& e : plain.entries()) {
    if (e.name == "dist_token") continue;
    at::Tensor t = to_tensor(e);
    if (e.name == "pos_embed") t = at::randn({1, 1 + 16, 8});
    if (e.name == "patch_embed.proj.weight") t = at::cat({t, t, t}, 1);
    image.add(to_entry(e.name, t));
  }
  Trunk model(tiny_model(), Init(2));
  const ImportReport report = load_weights(model, image, "file");
  EXPECT_EQ(report.line(),
            "timm DeiT/ViT: 32 tensors; dist_token: a copy of the class token; pos.grid: 4x4 -> "
            "8x4, time kept, "
            "frequency stretched; patch_embed.proj.weight: colours summed; new: "
            "head.norm.weight, head.norm.bias, head.linear.weight, head.linear.bias");
}

TEST(Export, SaysWhatHasNoSuchForm) {
  const auto error = [](const Model& model, Original as) -> std::string {
    try {
      export_weights(model, as);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  const Trunk joint(tiny_model(), Init(0));
  EXPECT_EQ(error(joint, Original::kPasst),
            "this model cannot be written as PaSST: it has one position embedding per patch; use "
            "\"ast\"");
  EXPECT_EQ(error(joint, Original::kMn),
            "this model cannot be written as EfficientAT mn: it is a transformer");
  TrunkOptions o = tiny_model();
  o.aggregator = Aggregator::kMean;
  EXPECT_EQ(
      error(Trunk(o, Init(0)), Original::kAst),
      "this model cannot be written as AST: its classifier is a norm and a linear layer on the "
      "mean of the two special tokens");
  EXPECT_EQ(error(Trunk(o, Init(0)), Original::kTorchOnly), "") << "it has a mean aggregator";
  o.head = Head::kNone;
  EXPECT_EQ(error(Trunk(o, Init(0)), Original::kTorchOnly), "");
}

}  // namespace
}  // namespace xp::model
