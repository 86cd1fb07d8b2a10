// Files of EfficientAT, PaSST and TorchOnlyAST opened as every command opens them: what the file
// shows is read from it, what it does not show is said, and the outputs are the originals'.
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "core/checkpoint/archive.h"
#include "core/load/open_model.h"
#include "core/model/torchonly.h"
#include "tests/testing/fixtures.h"
#include "tests/testing/tensors.h"

namespace xp::load {
namespace {

using testing::Case;
using testing::floats_of;
using testing::Report;
using testing::tensor_of;

model::Output evaluate(const OpenModel& open, const at::Tensor& mel) {
  const at::NoGradGuard no_grad;
  model::Pass pass;
  pass.want_tokens = true;
  return open.model->forward(model::Input::whole(mel), pass);
}

/// The lengths of a case's inputs "input/PREFIX_LENGTH".
std::vector<std::string> lengths_of(const Case& c, const std::string& prefix) {
  std::vector<std::string> lengths;
  for (const auto& [name, array] : c.arrays)
    if (name.starts_with("input/" + prefix + "_"))
      lengths.push_back(name.substr(prefix.size() + 7));
  return lengths;
}

/// What no file of EfficientAT shows, as `--set` says it.
std::vector<std::string> said_of(const Case& c, bool dymn) {
  const testing::Settings& a = c.arguments;
  std::vector<std::string> set;
  for (const char* key : {"dilated", "no_ca"})
    if (a.value(key, false)) set.push_back(fmt::format("model.{}=true", key));
  if (a.is_set("strides"))
    set.push_back(fmt::format("model.strides=[{}]",
                              fmt::join(a.at("strides").get<std::vector<int64_t>>(), ", ")));
  if (a.is_set("se_agg")) set.push_back("model.se_agg=" + a.value("se_agg", ""));
  if (a.is_set("input_dim_f"))
    set.push_back(fmt::format("frontend.mel_bins={}", a.value("input_dim_f", int64_t{0})));
  if (dymn)
    set.push_back(
        fmt::format("model.dy_temperature={}", c.json.at("dyconv_temperature").get<double>()));
  set.push_back(fmt::format("model.width={}", a.value("width_mult", 1.0)));
  return set;
}

void efficientat(const Case& c, Report& report) {
  for (const std::string& key : c.arguments.unread()) c.arguments.contains(key);
  const bool dymn =
      c.json.at("source_function").get<std::string>().find("dymn") != std::string::npos;
  OpenOptions options;
  options.arch = dymn ? "dymn10" : "mn10";
  options.set = said_of(c, dymn);
  options.frames = c.arguments.value("input_dim_t", int64_t{0});
  const OpenModel open = open_model(c.folder / c.json.at("weights").at(0), options);
  for (const std::string& frames : lengths_of(c, "mel")) {
    const model::Output out = evaluate(open, tensor_of(c.at("input/mel_" + frames)).squeeze(1));
    report.compare("output/logits_" + frames, floats_of(out.logits));
    report.compare("output/features_" + frames, floats_of(out.embedding));
  }
  // Where something was taken for granted a line says which keys; all that the case says was said.
  for (const std::string& note : open.notes) {
    for (const std::string& set : options.set) {
      const std::string key = set.substr(0, set.find('='));
      if (note.find(key + " =") != note.npos) report.fail("said, and taken for granted: " + key);
    }
  }
}

void torchonly(const Case& c, Report& report) {
  const auto elsewhere = [&](const std::string& name) {
    report.elsewhere(name, "tests/model/transformer_parity_test.cpp");
  };
  for (const auto& [name, array] : c.arrays)
    if (name.starts_with("output/")) elsewhere(name);
  const std::filesystem::path file = c.folder / c.json.at("weights").at(0);
  // A file with a part of its description needs --arch, and there is none of such sizes.
  if (!model::torchonly_config(checkpoint::Archive::open(file), file)) return;
  const OpenModel open = open_model(file, {});
  report.compare_value("bins", static_cast<double>(open.geometry.F), c.json.at("n_bins"));
  report.compare_value("frames", static_cast<double>(open.geometry.T), c.json.at("n_frames"));
  for (const std::string& frames : lengths_of(c, "spec")) {
    const model::Output out = evaluate(open, tensor_of(c.at("input/spec_" + frames)));
    report.compare("output/logits_" + frames, floats_of(out.logits.defined()      ? out.logits
                                                        : out.embedding.defined() ? out.embedding
                                                                                  : out.tokens));
  }
}

/// A file of PaSST of any length: its sizes are said, its positions are its own.
void passt(const Case& c, Report& report) {
  const bool own_length = c.json.contains("input_tdim") && c.json.contains("time_pos_len") &&
                          c.json.value("distilled", false);
  const std::vector<std::string> lengths =
      own_length ? lengths_of(c, "spec") : std::vector<std::string>{};
  for (const auto& [name, array] : c.arrays)
    if (name.starts_with("output/"))
      report.elsewhere(name, "tests/model/transformer_parity_test.cpp");
  if (lengths.empty()) return;
  const auto dim = c.json.at("embed_dim").get<int64_t>();
  OpenOptions options;
  options.arch = "passt-s";
  options.fstride = c.json.at("stride").at(0);
  options.tstride = c.json.at("stride").at(1);
  options.set = {fmt::format("model.dim={}", dim),
                 fmt::format("model.depth={}", c.json.at("depth").get<int64_t>()),
                 fmt::format("model.heads={}", c.json.at("num_heads").get<int64_t>())};
  const OpenModel open = open_model(c.folder / c.json.at("weights").at(0), options);
  if (!open.report.reshaped.empty())
    report.fail("its positions were fitted: " + open.report.line());
  for (const std::string& frames : lengths) {
    if (!c.arrays.contains("output/logits_" + frames)) continue;
    const model::Output out = evaluate(open, tensor_of(c.at("input/spec_" + frames)).squeeze(1));
    report.compare("output/logits_" + frames, floats_of(out.logits));
    report.compare("output/features_" + frames, floats_of(out.embedding));
  }
}

TEST(OpenModelParity, FilesOfTheOriginals) {
  at::set_num_threads(1);
  const auto only_logits = [](const Case& c, Report& report) {
    for (const auto& [name, array] : c.arrays)
      if (name.starts_with("output/fmap_mean_"))
        report.elsewhere(name, "tests/model/cnn_parity_test.cpp");
    efficientat(c, report);
  };
  testing::expect_parity(
      {"model/efficientat", "model/passt", "model/torchonly"},
      {{"model/efficientat", only_logits}, {"model/passt", passt}, {"model/torchonly", torchonly}});
}

}  // namespace
}  // namespace xp::load
